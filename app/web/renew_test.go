package web

import (
	"strings"
	"testing"
	"time"

	"latchkey/app/sessions"
)

// What no person asked for keeps no session alive: files, the stream of the dev
// server, HEAD, what a browser fetches on a guess, and whoever checks that the
// server is up, which has no cookie.
//
// ASVS 7.3.1
func TestWhatRenewsNothing(t *testing.T) {
	s := newTestSite(t, "--dev")
	now := stored(time.Now())
	id := sessions.NewID(now)
	if err := s.store.Store.Begin(t.Context(), sessions.KeyOf(id), sessions.Key{}, sessions.Session{Began: now, Seen: now.Add(-time.Hour)}, nil); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, r := range append(s.routes(), s.devRoutes()...) {
		if r.who != sameForAll {
			continue
		}
		path := strings.Replace(r.path, "/public/*", s.files(t).URL("site.css"), 1)
		got := s.open(request{to: r.method + " " + path, id: id})
		got.Body.Close() // the stream does not end by itself
		if got.StatusCode != 200 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
		checked++
	}
	s.loggedInAs("", "")
	reads := s.store.reads.Load()
	// What is not there was asked for by a browser or a page, as likely as not.
	for _, path := range []string{"/favicon.ico", "/public/none.css", "/nothing"} {
		got := s.open(request{to: "GET " + path, id: id})
		got.Body.Close()
		if got.StatusCode != 404 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if noted := s.store.noted.Load(); checked != 4 || reads != 0 || noted != 0 {
		t.Errorf("%d routes and a visit without a cookie read %d sessions and renew %d", checked, reads, noted)
	}
	// A page does, and so the test would see it. The session is nobody's.
	for _, test := range []struct {
		request
		renews int64
	}{
		{request{to: "HEAD /"}, 0},
		{request{to: "HEAD /login"}, 0},
		{request{to: "GET /", header: map[string]string{"Sec-Purpose": "prefetch"}}, 0},
		{request{to: "GET /", header: map[string]string{"Sec-Purpose": "prefetch;prerender"}}, 0},
		{request{to: "GET /login", header: map[string]string{"Purpose": "prefetch"}}, 0},
		{request{to: "GET /", header: map[string]string{"Purpose": "", "Sec-Purpose": "x-prefetch"}}, 1},
		{request{to: "GET /"}, 1},
		{request{to: "POST /login"}, 1},
	} {
		s.store.noted.Store(0)
		// What was noted in earnest would be due no more.
		if err := s.store.Store.Begin(t.Context(), sessions.KeyOf(id), sessions.KeyOf(id), sessions.Session{Began: now, Seen: now.Add(-time.Hour)}, nil); err != nil {
			t.Fatal(err)
		}
		test.id = id
		got := s.send(test.request)
		if noted := s.store.noted.Load(); noted != test.renews || got.status >= 500 || got.status == 303 {
			t.Errorf("%s %v: status %d, renews %d", test.to, test.header, got.status, noted)
		}
	}
}
