package web

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
)

// ASVS 8.2.2: the router decides who reaches what is owned, whatever it is. What
// belongs to another looks like what is not there, and each try is in the log.
func TestOwned(t *testing.T) {
	w := newWorld(t)
	fault := errors.New("secret detail")
	load := func(c *fiber.Ctx) (string, accounts.ID, error) {
		switch c.Params("id") {
		case "theirs":
			return "the thing", w.ids["owner"], nil
		case "broken":
			return "", accounts.ID{}, fault
		}
		return "", accounts.ID{}, store.ErrNotFound
	}
	served := 0
	serve := func(c *fiber.Ctx, v Visitor, thing string) error {
		served++
		return c.SendString(thing + " for " + v.Name)
	}
	for _, method := range []string{"GET", "POST"} {
		r := owned(method, "/test/:id", load, serve)
		w.must(r.check())
		w.app.Add(method, r.path, func(c *fiber.Ctx) error { return w.admit(c, r) })
	}
	w.app.Handler() // builds the tree of routes anew
	w.add("stale administrator")
	w.must(w.accounts.SetAdmin(t.Context(), w.ids["stale administrator"], true))
	w.logInAt("stale administrator", time.Now().Add(stale))
	nothing := w.get("another", "/nothing").page()
	for visitor, want := range map[string]struct {
		get, post string
		lines     int // in the log, for each of the two
	}{
		"nobody":              {"303 /login?next=%2Ftest%2Ftheirs", "401", 0},
		"disabled":            {"303 /login?next=%2Ftest%2Ftheirs", "401", 0},
		"owner":               {"200", "200", 0},
		"another":             {"404", "404", 1},
		"administrator":       {"200", "200", 0},
		"stale administrator": {"303 /reauthenticate?next=%2Ftest%2Ftheirs", "401", 0},
	} {
		before, logged := served, len(w.events("access"))
		get, post := w.get(visitor, "/test/theirs"), w.post(visitor, "/test/theirs", "")
		if get.String() != want.get || post.String() != want.post {
			t.Errorf("%s gets %s and %s, want %+v", visitor, get, post, want)
		}
		if want.get == "200" && (get.body != "the thing for "+visitor || post.body != get.body || served != before+2) || want.get != "200" && served != before {
			t.Errorf("%s was served %d times: %s", visitor, served-before, get.body)
		}
		if got := w.events("access")[logged:]; len(got) != 2*want.lines || want.lines > 0 && (field(got[0], "owner") != w.ids["owner"].String() || field(got[0], "by.name") != visitor || field(got[0], "route") != "GET /test/:id") {
			t.Errorf("%s: the log has %v", visitor, got)
		}
		if visitor == "another" && (get.page() != nothing || post.page() != nothing) {
			t.Errorf("it can be told from what is not there:\n%s", get.body)
		}
	}
	before := served
	for visitor, want := range map[string]int{"owner": 500, "administrator": 500, "nobody": 401} {
		if got := w.post(visitor, "/test/broken", ""); got.status != want || strings.Contains(got.body, "secret") {
			t.Errorf("a fault for %s: %s", visitor, got)
		}
	}
	for _, visitor := range []string{"owner", "another", "administrator"} {
		if got := w.get(visitor, "/test/none"); got.status != 404 || got.page() != w.get(visitor, "/nothing").page() {
			t.Errorf("what is not there, for %s: %s", visitor, got)
		}
	}
	if served != before {
		t.Error("something was served that was not loaded")
	}
	// The right password goes on to the thing.
	got := w.post("stale administrator", "/test/theirs", "reauthenticate="+strings.ReplaceAll(password, " ", "+"))
	if got.status != 200 || got.cookie == "" || served != before+1 {
		t.Errorf("after re-authentication: %s", got)
	}
}

func TestWhatPagesOfResourcesShare(t *testing.T) {
	w := newWorld(t)
	owner := w.ids["owner"]
	if got := backTo(Visitor{ID: owner}, owner, "/things"); got != "/things" {
		t.Errorf("the owner goes back to %s", got)
	}
	if got := backTo(Visitor{ID: w.ids["administrator"], Admin: true}, owner, "/things"); got != adminAccount(owner) {
		t.Errorf("an administrator goes back to %s", got)
	}
	if got := aboutOwned("thing", owner, owner); len(got) != 2 || got[0].String() != "thing="+owner.String() || got[1].String() != "owner="+owner.String() {
		t.Errorf("%v", got)
	}
	w.app.Get("/test/:id", func(c *fiber.Ctx) error {
		a, err := loadByID(c, w.accounts.Get)
		if err != nil {
			return err
		}
		return c.SendString(a.Name.String())
	})
	w.app.Handler()
	for id, want := range map[string]string{owner.String(): "200", strings.ToUpper(owner.String()): "404", "x": "404", owner.String() + "0": "404", accounts.ID{}.String(): "404", "%ff": "404"} {
		if got := w.get("nobody", "/test/"+id); got.String() != want || want == "200" && got.body != "owner" {
			t.Errorf("%s: %s", id, got)
		}
	}
}
