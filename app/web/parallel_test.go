package web

import (
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var endButton = regexp.MustCompile(`action="/account/sessions/[0-9a-f]{76}/end"`)

// A browser that has other pages on their way while it logs in anew sees a whole
// session at each, the one before or the new one, or none: never an error, and
// never a name without its session. No page that comes late takes the new cookie
// away.
//
// ASVS 7.2.4
func TestReadingWhileLoggingIn(t *testing.T) {
	const rounds, readers, enough = 12, 6, 12
	s := newTestSite(t)
	old, bystander := s.login("Ada"), s.login("Ada") // two browsers of hers
	var meanwhile atomic.Int64                       // answers to what was under way with the login
	for range rounds {
		var asked, stop atomic.Bool
		var fresh atomic.Pointer[string] // once the login was answered
		var before, after atomic.Int64   // pages read
		read := func(path, id string) {
			over := false
			if now := fresh.Load(); now != nil {
				over = true
				if after.Add(1)%2 == 0 && id == old {
					id = *now
				}
			}
			got := s.send(request{to: "GET " + path, id: id})
			sure := !asked.Load() // the login has not even begun
			if sure {
				before.Add(1)
			} else if !over {
				meanwhile.Add(1)
			}
			var whole, nobody bool
			switch path {
			case "/":
				whole = got.status == 200 && marked(got.body) == "Ada"
				nobody = got.status == 200 && strings.Contains(got.body, "<body>") && !strings.Contains(got.body, "Ada")
			default:
				// One session goes as the other one comes: the list has always two. Only a
				// page that was under way may find that neither is its own any more.
				whole = got.status == 200 && strings.Contains(got.body, "<bdi>Ada</bdi>") && len(endButton.FindAllString(got.body, -1)) == 2 &&
					(strings.Contains(got.body, "this one") || id == old && !sure && !over)
				nobody = got.status == 303 && got.header.Get("Location") == "/login?next=%2Faccount"
			}
			switch {
			case sure || id != old:
				nobody = false
			case over:
				whole = false
			}
			if !whole && !nobody || got.header.Get("Set-Cookie") != "" {
				t.Errorf("GET %s, before the login: %v, after: %v, with the old cookie: %v: status %d, sets %q\n%s",
					path, sure, over, id == old, got.status, got.header.Get("Set-Cookie"), got.body)
				stop.Store(true)
			}
		}
		var group sync.WaitGroup
		for i := range readers {
			group.Go(func() {
				for n := i; !stop.Load(); n++ {
					read([]string{"/", "/account"}[n%2], []string{old, old, bystander}[i%3])
				}
			})
		}
		wait := func(n *atomic.Int64) {
			for n.Load() < enough && !stop.Load() {
				s.send(request{to: "GET /robots.txt"})
			}
		}
		wait(&before)
		asked.Store(true)
		got := s.send(request{to: "POST /login", form: credentials("Ada"), id: old})
		if got.status != 303 || got.id == "" || got.id == old {
			t.Errorf("the login: status %d, the cookie is new: %v", got.status, got.id != "" && got.id != old)
			stop.Store(true)
		} else {
			fresh.Store(&got.id)
		}
		wait(&after)
		stop.Store(true)
		group.Wait()
		if t.Failed() {
			return
		}
		old = got.id
		s.log.take()
	}
	if meanwhile.Load() == 0 {
		t.Error("nothing was read while the login was under way")
	}
}

// The first pages of all, at the same moment. Fiber has things that it makes at
// the first one.
func TestFirstPagesAtOnce(t *testing.T) {
	s := newTestSite(t)
	begin := make(chan struct{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { <-begin; s.loggedInAs("", "") })
	}
	close(begin)
	group.Wait()
}

// Pages rendered at the same moment never show another visitor's name.
func TestPagesAtOnceAreEachTheirOwn(t *testing.T) {
	s := newTestSite(t)
	names := []string{"Ada", "Ben", "Cleo", ""}
	var group sync.WaitGroup
	for _, name := range names {
		id, own := "", "<body>"
		if name != "" {
			id, own = s.login(name), `<body data-account="`+name+`">`
		}
		group.Go(func() {
			for range 200 {
				got := s.send(request{to: "GET /", id: id})
				for _, other := range names {
					if other != "" && other != name && strings.Contains(got.body, other) {
						t.Errorf("%q is shown the page of %q", name, other)
					}
				}
				if got.status != 200 || !strings.Contains(got.body, own) {
					t.Errorf("%q: status %d\n%s", name, got.status, got.body)
					return
				}
			}
		})
	}
	group.Wait()
}
