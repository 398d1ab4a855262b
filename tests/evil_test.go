package tests

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// evilSite is another site, at 127.0.0.1, while ours is at localhost: for a browser these are two sites.
type evilSite struct {
	url  string
	body atomic.Value
}

func newEvilSite(t testing.TB) *evilSite {
	e := &evilSite{}
	e.body.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>Evil</title><link rel=icon href=data:,>"+e.body.Load().(string))
	}))
	t.Cleanup(server.Close)
	e.url = server.URL + "/"
	return e
}

func (e *evilSite) serve(body string) { e.body.Store(body) }
