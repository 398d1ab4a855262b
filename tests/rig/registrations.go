package rig

import (
	"bytes"
	"fmt"
	"html"
	"regexp"

	"github.com/valyala/fasthttp"
)

var row = regexp.MustCompile(`<li><span><a href="/registrations/[^"]+">([^<]+)</a> <small>[^\n]*\n<form method="post" action="/registrations/([^/]+)/deregister">`)

// Registrations returns the sports on the page of registrations, each with the
// address of its button. Anything else than that page is an error.
func (a Answer) Registrations() (map[string]string, error) {
	if a.Status != fasthttp.StatusOK || !bytes.Contains(a.Body, []byte("<h1>Registrations</h1>")) {
		return nil, fmt.Errorf("not the page of registrations: status %d: %.2000s", a.Status, a.Body)
	}
	sports := map[string]string{}
	for _, found := range row.FindAllSubmatch(a.Body, -1) {
		sports[html.UnescapeString(string(found[1]))] = "/registrations/" + string(found[2]) + "/deregister"
	}
	if n := bytes.Count(a.Body, []byte("/deregister\"")); n != len(sports) {
		return nil, fmt.Errorf("%d registrations, of which %d can be read", n, len(sports))
	}
	return sports, nil
}

// Sports are all there are.
func Sports() []string {
	return []string{"Badminton", "Basketball", "Climbing", "Football", "Swimming", "Table tennis", "Volleyball"}
}
