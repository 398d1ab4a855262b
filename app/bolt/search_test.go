package bolt_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/web"
	"latchkey/config"
)

// BenchmarkSearch shows what a page of the back office costs with 1,000 accounts
// on file and with 1,000,000: the store's part alone, and over HTTP. It reports
// how many times as much the larger file costs.
func BenchmarkSearch(b *testing.B) {
	var small [2]time.Duration
	for _, n := range []int{1_000, 1_000_000} {
		db := open(b, temp(b), limits)
		if err := db.Fill(n); err != nil {
			b.Fatal(err)
		}
		people, err := accounts.New(db.Accounts(), accounts.Settings{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		somewhere := func() string { return bolt.FilledName(rand.IntN(n - accounts.PageSize - 1)) }
		page := office(b, db, people)
		for i, part := range []struct {
			name string
			run  func()
		}{
			{"store", func() {
				if found, err := people.List("player", somewhere()); err != nil || len(found.Accounts) != accounts.PageSize {
					b.Fatalf("%d accounts, %v", len(found.Accounts), err)
				}
			}},
			{"page", func() {
				if body := page("/admin?q=player&after=" + url.QueryEscape(somewhere())); strings.Count(body, "<tr>") != accounts.PageSize+1 {
					b.Fatalf("the wrong page:\n%s", body)
				}
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d", part.name, n), func(b *testing.B) {
				for b.Loop() {
					part.run()
				}
				each := b.Elapsed() / time.Duration(b.N)
				if n == 1_000 {
					small[i] = each
				} else if small[i] > 0 {
					b.ReportMetric(float64(each)/float64(small[i]), "times")
				}
			})
		}
	}
}

// office returns how an administrator gets a page of a site on db.
func office(b *testing.B, db *bolt.DB, people *accounts.Accounts) func(path string) string {
	site, err := web.New(web.Options{
		Settings: config.Settings{Title: "store", Origin: "https://example.com", SessionIdle: limits.Idle, SessionLifetime: limits.Lifetime},
		Accounts: people, Sessions: db, Log: slog.New(slog.DiscardHandler),
		Registrations: db.Registrations(),
	})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go site.Serve(ln)
	b.Cleanup(func() { site.Shutdown(b.Context()) })
	s, id := begun(b, db, "Ann", time.Now()), newID()
	if err := people.SetAdmin(accounts.ID(s.Account), true); err != nil {
		b.Fatal(err)
	}
	if err := db.Begin(id, "", s, nil); err != nil {
		b.Fatal(err)
	}
	return func(path string) string {
		r, err := http.NewRequest("GET", "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: id})
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			b.Fatal(err)
		}
		return string(body)
	}
}
