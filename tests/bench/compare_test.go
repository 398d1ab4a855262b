package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	storage "github.com/gofiber/storage/bbolt"
)

// serveBare answers every request with the same bytes and headers: the upper
// bound of Fiber.
func serveBare() {
	var a answer
	if err := json.Unmarshal([]byte(os.Getenv("LATCHKEY_BENCH_ANSWER")), &a); err != nil {
		panic(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) error {
		for _, h := range a.Header {
			c.Response().Header.Set(h[0], h[1])
		}
		return c.Send(a.Body)
	})
	serve(app)
}

// servePlain logs in as plain Fiber code does, with the adapter's Set.
func servePlain() {
	store := session.New(session.Config{
		Storage: storage.New(storage.Config{Database: os.Getenv("LATCHKEY_BENCH_DATABASE")}),
	})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/login", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("name", c.FormValue("name"))
		if err := sess.Save(); err != nil {
			return err
		}
		return c.Redirect("/", fiber.StatusSeeOther)
	})
	serve(app)
}

func serve(app *fiber.App) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "{\"msg\":\"listening\",\"addr\":%q}\n", ln.Addr())
	if err := app.Listener(ln); err != nil {
		panic(err)
	}
}
