package web

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/internal/patience"
)

// requestPatience is how long a request may take once it has arrived. Then the
// visitor gets the 503 page.
const requestPatience = 10 * time.Second

// beginPatience gives the request a context that ends when patience does. It does
// not refer to the request, which Fiber uses again. The caller ends it.
func (s *Site) beginPatience(c *fiber.Ctx) *patience.Context {
	ctx := patience.New(context.Background(), time.Now().Add(s.patience))
	c.SetUserContext(ctx)
	return ctx
}

// enter goes around every route: it limits how long the request takes, guards the answer with headers, turns
// requests from other sites away, makes a page of whatever went wrong, and
// writes one line to the log.
func (s *Site) enter(c *fiber.Ctx) error {
	defer s.beginPatience(c).End()
	s.guard.headers(c)
	err := s.guard.check(c)
	if err == nil {
		err = next(c)
	}
	if err != nil {
		return s.refuse(c, err) // which writes the line for the log
	}
	s.logRequest(c, "", nil)
	return nil
}

// lastOfConnection ends the connection after a body that came without a length.
// fasthttp drops "Transfer-Encoding: identity" and takes what follows for the
// next request; a proxy in front may see one request where it sees two (OWASP
// ASVS 4.2.1).
func lastOfConnection(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const withoutLength = -2
	if !header.IsGet() && !header.IsHead() && header.ContentLength() == withoutLength {
		header.SetConnectionClose()
	}
	return fasthttp.RequestConfig{} // the limits stay those of the server
}

// next runs the route and turns a panic into an error, so that one bad request
// ends alone.
func next(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Next()
}

// rewriteUnknownMethods answers methods that Fiber does not know, for Fiber would answer them in
// bare text before any of our code runs. They become a method that it knows and
// no route has, and so a 405 or 404 page.
func (s *Site) rewriteUnknownMethods(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	methods := map[string]bool{}
	for _, method := range fiber.DefaultMethods {
		methods[method] = true
	}
	return func(ctx *fasthttp.RequestCtx) {
		if !ctx.IsGet() && !methods[string(ctx.Method())] {
			ctx.SetUserValue(loggedAs{}, string(ctx.Method()))
			ctx.Request.Header.SetMethod(fiber.MethodConnect)
		}
		handle(ctx)
	}
}

// requestIDs numbers the requests, from a random start so that the lines of two
// runs are not mistaken for each other. The ids tie a visitor's page to a line of
// the log; they need not be secret.
type requestIDs struct {
	start string
	count atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{start: strconv.FormatUint(rand.Uint64()&(1<<40-1)|1<<40, 36) + "-"}
}

func (r *requestIDs) next() string { return r.start + strconv.FormatUint(r.count.Add(1), 36) }
