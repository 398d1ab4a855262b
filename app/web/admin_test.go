package web

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

var (
	rowName  = regexp.MustCompile(`<td><a href="/admin/accounts/[0-9a-f]{32}"><bdi>(.*)</bdi></a></td>`)
	nextPage = regexp.MustCompile(`<a href="([^"]*)" rel="next">`)
)

// found returns the names on the pages of a search, following Next page.
func (w *world) found(path string) (names []string, pages int) {
	w.t.Helper()
	for path != "" && pages < 10 {
		page := w.get("administrator", path)
		if page.status != 200 {
			w.t.Fatalf("%s: %s", path, page)
		}
		for _, row := range rowName.FindAllStringSubmatch(page.body, -1) {
			names = append(names, html.UnescapeString(row[1]))
		}
		path = ""
		if next := nextPage.FindStringSubmatch(page.body); next != nil {
			path = html.UnescapeString(next[1])
		}
		pages++
	}
	return names, pages
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	for i := range 101 {
		_, err := w.accounts.Add(t.Context(), fmt.Sprintf("Player %03d", i))
		w.must(err)
	}
	evil := `<b>"&'%3D?after=z`
	_, err := w.accounts.Add(t.Context(), evil)
	w.must(err)
	for path, want := range map[string][3]any{
		"/admin":                                {106, 3, "Player 100"},
		"/admin?q=player":                       {101, 3, "Player 050"},
		"/admin?q=PLAYER+":                      {101, 3, "Player 050"},
		"/admin?q=player+1":                     {1, 1, "Player 100"},
		"/admin?q=owner":                        {1, 1, "owner"},
		"/admin?q=player&after=player+098":      {2, 1, "Player 100"},
		"/admin?q=" + url.QueryEscape(evil):     {1, 1, evil},
		"/admin?q=%3Cb":                         {1, 1, evil},
		"/admin?q=x&q=owner":                    {0, 1, ""},
		"/admin?q=%00":                          {0, 1, ""},
		"/admin?q=%ff":                          {0, 1, ""},
		"/admin?q=" + strings.Repeat("x", 5000): {0, 1, ""},
		"/admin?after=%ff%ff":                   {0, 1, ""},
		"/admin?q=nobody":                       {0, 1, ""},
	} {
		names, pages := w.found(path)
		seen := map[string]bool{}
		for _, name := range names {
			seen[name] = true
		}
		if len(names) != want[0] || len(seen) != len(names) || pages != want[1] || want[2] != "" && !seen[want[2].(string)] {
			t.Errorf("%.60s: %d names, %d of them different, on %d pages, want %v", path, len(names), len(seen), pages, want)
		}
	}
	// What was searched for is there again, as text.
	if page := w.get("administrator", "/admin?q="+url.QueryEscape(evil)).body; strings.Contains(page, "<b>") || !strings.Contains(html.UnescapeString(page), `value="`+evil) {
		t.Errorf("%s", page)
	}
	// ASVS 15.3.1: no view has a hash.
	for _, path := range []string{"/admin", "/admin/accounts/" + w.ids["owner"].String()} {
		if page := w.get("administrator", path); strings.Contains(page.body, "argon2") {
			t.Errorf("%s shows a hash", path)
		}
	}
}

func TestAccountsThatThereAreNot(t *testing.T) {
	w := newWorld(t)
	mine := w.ids["administrator"]
	near := mine
	near[0] ^= 1
	before := w.file()
	for _, id := range []string{near.String(), accounts.ID{}.String(), strings.ToUpper(near.String()), mine.String() + "0", "owner", "%2e%2e", mine.String()[:31]} {
		for _, path := range []string{"", "/remove", "/disable", "/reset"} {
			if got := w.get("administrator", "/admin/accounts/"+id+path); got.status != 404 {
				t.Errorf("GET %s%s: %s", id, path, got)
			}
			if path == "" {
				continue
			}
			if got := w.post("administrator", "/admin/accounts/"+id+path, ""); got.status != 404 {
				t.Errorf("POST %s%s: %s", id, path, got)
			}
		}
	}
	if w.file() != before {
		t.Error("something has changed")
	}
}

// ASVS 7.4.2, 7.4.5: what an administrator does to an account is done at once,
// and is on record.
func TestActions(t *testing.T) {
	for action, test := range map[string]struct {
		before   func(*world) error
		done     func(a accounts.Account) bool
		loggedIn bool // its session goes on
	}{
		"end-sessions": {nil, func(a accounts.Account) bool { return !a.Disabled && !a.Admin }, false},
		"disable":      {nil, func(a accounts.Account) bool { return a.Disabled && !a.Admin }, false},
		"enable":       {func(w *world) error { return w.accounts.SetDisabled(t.Context(), w.ids["owner"], true) }, func(a accounts.Account) bool { return !a.Disabled }, false},
		"make-admin":   {nil, func(a accounts.Account) bool { return a.Admin && !a.Disabled }, true},
		"unmake-admin": {func(w *world) error { return w.accounts.SetAdmin(t.Context(), w.ids["owner"], true) }, func(a accounts.Account) bool { return !a.Admin }, true},
		"remove":       {nil, nil, false},
	} {
		t.Run(action, func(t *testing.T) {
			w := newWorld(t)
			if test.before != nil {
				w.must(test.before(w))
			}
			account := "/admin/accounts/" + w.ids["owner"].String()
			path := account + "/" + action
			if page := w.get("administrator", account).body; !strings.Contains(page, `href="`+path+`"`) {
				t.Errorf("there is no way to it:\n%s", page)
			}
			before := w.file()
			if page := w.get("administrator", path); !strings.Contains(page.body, `action="`+path+`"`) || !strings.Contains(page.body, "<bdi>owner</bdi>") || w.file() != before {
				t.Errorf("the page that asks: %s\n%s", page, page.body)
			}
			got := w.post("administrator", path, "admin=true&id="+w.ids["another"].String())
			if got.status != 400 || w.file() != before {
				t.Fatalf("fields that nobody asked for: %s", got)
			}
			got = w.post("administrator", path, "")
			want := "303 " + account
			if action == "remove" {
				want = "303 /admin"
			}
			if got.String() != want {
				t.Fatalf("%s, want %s", got, want)
			}
			a, err := w.accounts.Get(t.Context(), w.ids["owner"])
			if gone := errors.Is(err, accounts.ErrNotFound); gone != (test.done == nil) || !gone && !test.done(a) {
				t.Errorf("%+v, %v", a, err)
			}
			if page := w.get("owner", "/account"); (page.status == 200) != test.loggedIn {
				t.Errorf("its session: %s", page)
			}
			if page := w.get("another", "/account"); page.status != 200 {
				t.Errorf("another's session: %s", page)
			}
			other, err := w.accounts.Get(t.Context(), w.ids["another"])
			if err != nil || other.Admin || other.Disabled {
				t.Errorf("another: %+v, %v", other, err)
			}
			events := w.events("back office")
			if len(events) != 1 || field(events[0], "by.name") != "administrator" || field(events[0], "account.name") != "owner" ||
				field(events[0], "action") != action || field(events[0], "outcome") != "done" {
				t.Errorf("the log: %v", events)
			}
		})
	}
}

// Enabling brings no session back.
func TestEnabledIsNotLoggedIn(t *testing.T) {
	w := newWorld(t)
	path := "/admin/accounts/" + w.ids["owner"].String()
	for _, action := range []string{"/disable", "/enable"} {
		if got := w.post("administrator", path+action, ""); got.status != 303 {
			t.Fatalf("%s: %s", action, got)
		}
	}
	if got := w.get("owner", "/account"); got.status != 303 {
		t.Errorf("the old cookie: %s", got)
	}
	if got := w.post("nobody", "/login", "name=owner&password="+url.QueryEscape(password)); got.String() != "303 /" {
		t.Errorf("login: %s", got)
	}
}

// ASVS 2.3.3: there is always an administrator.
func TestLastAdministrator(t *testing.T) {
	w := newWorld(t)
	path := "/admin/accounts/" + w.ids["administrator"].String()
	before := w.file()
	for _, action := range []string{"/unmake-admin", "/disable", "/remove"} {
		got := w.post("administrator", path+action, "")
		if got.status != 422 || !strings.Contains(got.body, `action="`+path+action+`"`) || w.file() != before {
			t.Errorf("%s: %s\n%s", action, got, got.body)
		}
	}
	events := w.events("back office")
	if len(events) != 3 || field(events[0], "outcome") != "refused" {
		t.Errorf("%v", events)
	}
	w.must(w.accounts.SetAdmin(t.Context(), w.ids["another"], true))
	if got := w.post("administrator", path+"/unmake-admin", ""); got.String() != "303 /" {
		t.Errorf("with another left: %s", got)
	}
}

var sessionLine = regexp.MustCompile(`(?s)<li[^>]*><span>([^<]*\n<small>[^<]*, since [^<]*)</small></span>`)

// sessionLines returns what a page says of the sessions it lists.
func (w *world) sessionLines(visitor, path string) (lines []string) {
	w.t.Helper()
	for _, line := range sessionLine.FindAllStringSubmatch(w.get(visitor, path).body, -1) {
		lines = append(lines, strings.Replace(line[1], " – this one", "", 1))
	}
	return lines
}

// The sessions of an account are shown as their owner sees them, without what
// would let anybody in.
func TestSessionsAreShown(t *testing.T) {
	w := newWorld(t)
	path := "/admin/accounts/" + w.ids["owner"].String()
	a, err := w.accounts.Get(t.Context(), w.ids["owner"])
	w.must(err)
	now := time.Now()
	for i, agent := range []string{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "<script>"} {
		began := now.Add(time.Duration(-i-1) * time.Minute)
		w.must(w.db.Sessions().Begin(t.Context(), sessions.KeyOf(fmt.Sprint("another browser ", i)), sessions.Key{}, sessions.Session{
			Account: sessions.Account(a.ID), PasswordVersion: a.PasswordVersion, Began: stored(began), Seen: stored(now), Reauthenticated: stored(began),
			Agent: agent, Address: fmt.Sprint("192.0.2.", i),
		}, nil))
	}
	shown := w.sessionLines("administrator", path)
	if len(shown) != 3 || !strings.HasPrefix(shown[1], "Firefox on Linux\n<small>192.0.2.0, since ") || !strings.Contains(shown[2], "\n<small>192.0.2.1, since ") {
		t.Errorf("%q", shown)
	}
	if own := w.sessionLines("owner", "/account"); !slices.Equal(shown, own) {
		t.Errorf("the owner sees %q, an administrator %q", own, shown)
	}
	page := w.get("administrator", path).body
	if _, id, _ := strings.Cut(w.cookies["owner"], "="); strings.Contains(page, id) || strings.Contains(page, w.sessionKey("owner")) || strings.Contains(page, "<script") || strings.Contains(page, "data-here") {
		t.Errorf("it shows too much:\n%s", page)
	}
	if page := w.get("administrator", "/admin/accounts/"+w.ids["administrator"].String()).body; strings.Count(page, "data-here") != 1 {
		t.Errorf("their own:\n%s", page)
	}
	if shown := w.sessionLines("administrator", "/admin/accounts/"+w.ids["disabled"].String()); len(shown) != 0 {
		t.Errorf("a disabled account: %q", shown)
	}
}

// ASVS 15.3.3: a form with a field that it does not have is refused whole.
func TestFieldsThatNobodyAskedFor(t *testing.T) {
	w := newWorld(t)
	pass := url.QueryEscape(password)
	before := w.file()
	for _, more := range []string{"admin=true", "Admin=true", "administrator=1", "role=admin", "disabled=false", "hash=x", "id=00000000000000000000000000000001", "owner=x", "x"} {
		for _, try := range [][3]string{
			{"nobody", "/signup", "name=Zoe&password=" + pass + "&"},
			{"nobody", "/login", "name=another&password=" + pass + "&"},
			{"owner", "/account/password", "old=" + pass + "&new=another+zebra+walks+home&"},
			{"owner", "/account/delete", "password=" + pass + "&"},
			{"administrator", "/admin/accounts/" + w.ids["owner"].String() + "/make-admin", ""},
		} {
			if got := w.post(try[0], try[1], try[2]+more); got.status != 400 || got.cookie != "" || w.file() != before {
				t.Errorf("%s with %s: %s", try[1], more, got)
			}
		}
	}
}
