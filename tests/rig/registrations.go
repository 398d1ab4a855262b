package rig

import (
	"bytes"
	"fmt"
	"html"
	"regexp"

	"github.com/valyala/fasthttp"
)

var registrationRow = regexp.MustCompile(`<li data-registration="([^"]+)" data-sport="([^"]+)">`)

// Registrations returns the registrations on the visitor's page: the sports,
// each with the URL of its form. It returns an error for any other page.
func (a Answer) Registrations() (map[string]string, error) {
	if a.Status != fasthttp.StatusOK || !bytes.Contains(a.Body, []byte(`<form method="post" action="/registrations`)) {
		return nil, fmt.Errorf("not the page of registrations: status %d: %.2000s", a.Status, a.Body)
	}
	sports := map[string]string{}
	for _, found := range registrationRow.FindAllSubmatch(a.Body, -1) {
		sports[html.UnescapeString(string(found[2]))] = "/registrations/" + string(found[1]) + "/deregister"
	}
	if n := bytes.Count(a.Body, []byte("/deregister\"")); n != len(sports) {
		return nil, fmt.Errorf("%d registrations, of which %d can be read", n, len(sports))
	}
	return sports, nil
}

// Sports returns all sports.
func Sports() []string {
	return []string{"Badminton", "Basketball", "Climbing", "Football", "Swimming", "Table tennis", "Volleyball"}
}
