package web

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
	"latchkey/config"
)

// BenchmarkIndex measures the start page in the handler, without the socket. Watch
// its allocations.
func BenchmarkIndex(b *testing.B) {
	command, err := config.Parse(nil, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	settings := command.Settings
	db, err := bolt.Open(filepath.Join(b.TempDir(), "x.db"), bolt.Options{Limits: sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime}})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	people, err := accounts.New(b.Context(), db.Accounts(), accounts.Settings{Cost: accounts.Cost{Memory: 64, Passes: 1, Lanes: 1}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	site, err := New(Options{Settings: settings, Accounts: people, Events: db.Events(), Sessions: db.Sessions(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Registrations: db.Registrations(),
	})
	if err != nil {
		b.Fatal(err)
	}
	handle := site.app.Server().Handler

	var login fasthttp.RequestCtx
	login.Request.Header.SetMethod("POST")
	login.Request.SetRequestURI("/signup")
	login.Request.Header.SetHost("localhost")
	login.Request.Header.SetContentType("application/x-www-form-urlencoded")
	login.Request.SetBodyString("name=Ann&password=zebra+77+walks+slowly+home")
	handle(&login)
	cookie, _, _ := strings.Cut(string(login.Response.Header.PeekCookie("__Host-session")), ";")
	if cookie == "" {
		b.Fatalf("sign up: %s", login.Response.Body())
	}

	for name, cookie := range map[string]string{"anonymous": "", "logged in": cookie} {
		b.Run(name, func(b *testing.B) {
			var c fasthttp.RequestCtx
			c.Request.SetRequestURI("/")
			c.Request.Header.SetHost("localhost")
			c.Request.Header.Set("Cookie", cookie)
			b.ReportAllocs()
			for b.Loop() {
				c.Response.Reset()
				handle(&c)
			}
			if body := string(c.Response.Body()); (marked(body) == "Ann") != (cookie != "") {
				b.Errorf("the wrong page: %s", body)
			}
		})
	}
}
