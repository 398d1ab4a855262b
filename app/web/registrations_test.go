package web

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/app/internal/store"
	"latchkey/app/registrations"
)

// registration makes one of an account.
func (w *world) registration(of, sport string) registrations.ID {
	w.t.Helper()
	r := registrations.New(w.ids[of])
	w.must(r.Set(sport, ""))
	w.must(w.db.Registrations().Insert(w.t.Context(), r))
	return r.ID
}

// sports returns what an account is registered for.
func (w *world) sports(of string) (sports []string) {
	w.t.Helper()
	list, _, err := w.db.Registrations().ListByOwner(w.t.Context(), w.ids[of], "", 100)
	w.must(err)
	for _, r := range list {
		sports = append(sports, r.Sport)
	}
	return sports
}

func (w *world) mustHaveNoRegistration(of string) {
	w.t.Helper()
	if sports := w.sports(of); len(sports) > 0 {
		w.t.Errorf("registered for %q", sports)
	}
}

func TestRegisterAndDeregister(t *testing.T) {
	w := newWorld(t)
	shows := func(has bool, sport string) {
		t.Helper()
		body := html.UnescapeString(w.get("owner", "/registrations").body)
		if strings.Contains(body, "Deregister from "+sport) != has || strings.Contains(body, "<option>"+sport+"<") == has {
			t.Errorf("%s: registered %t is wanted, the page says\n%s", sport, has, body)
		}
	}
	for _, sport := range registrations.Sports() {
		shows(false, sport)
		if got := w.post("owner", "/registrations", "sport="+url.QueryEscape(sport)); got.String() != "303 /registrations" {
			t.Fatalf("register for %s: %s", sport, got)
		}
		shows(true, sport)
	}
	if got := w.get("owner", "/registrations").body; strings.Contains(got, "<select") {
		t.Errorf("there is a form, and no sport is left:\n%s", got)
	}
	before := w.file()
	if got := w.post("owner", "/registrations", "sport=Football"); got.status != 422 || !strings.Contains(got.body, "registered for this sport already") || w.file() != before {
		t.Errorf("register again: %s\n%s", got, got.body)
	}
	list, _, err := w.db.Registrations().ListByOwner(w.t.Context(), w.ids["owner"], "", 100)
	w.must(err)
	for _, r := range list {
		path := "/registrations/" + r.ID.String() + "/deregister"
		if page := w.get("owner", path); page.status != 200 || !strings.Contains(page.body, `action="`+path+`"`) || !strings.Contains(page.body, r.Sport) {
			t.Errorf("the page that asks: %s\n%s", page, page.body)
		}
		if got := w.post("owner", path, ""); got.String() != "303 /registrations" {
			t.Fatalf("deregister from %s: %s", r.Sport, got)
		}
		shows(false, r.Sport)
		// Replayed, it is gone.
		if got := w.post("owner", path, ""); got.status != 404 {
			t.Errorf("deregister again: %s", got)
		}
	}
	if made, gone := len(w.events("registration")), len(w.events("deregistration")); made != len(list)+1 || gone != len(list) {
		t.Errorf("%d and %d lines in the log", made, gone)
	}
}

// ASVS 2.2.1, 2.2.2: the list of sports is the server's.
func TestSportsThatThereAreNot(t *testing.T) {
	w := newWorld(t)
	before := w.file()
	for form, want := range map[string]int{
		"": 422, "sport=": 422, "sport=football": 422, "sport=Chess": 422, "sport=Football%00": 422, "sport=Football+": 422, "Sport=Football": 400, "sport=Football%FF": 422,
		"sport=%3Cscript%3Ealert(1)%3C/script%3E": 422, "sport=" + strings.Repeat("x", 10_000): 422,
		"sport=Football&sport=Swimming": 400, // ASVS 15.3.7
	} {
		got := w.post("owner", "/registrations", form)
		if got.status != want || strings.Contains(got.body, "alert(1)") || w.file() != before {
			t.Errorf("%.40s: %s, want %d", form, got, want)
		}
	}
	if got := w.post("owner", "/registrations?sport=Football", ""); got.status != 422 || w.file() != before {
		t.Errorf("a sport in the address: %s", got)
	}
}

// ASVS 8.2.2: ids guessed, read elsewhere and swapped. What belongs to another
// cannot be told from what is not there.
func TestOthersRegistrations(t *testing.T) {
	w := newWorld(t)
	theirs, mine := w.registration("owner", "Football"), w.registration("another", "Football")
	nothing := w.post("another", "/registrations/"+registrations.ID{}.String()+"/deregister", "")
	events := len(w.events("access"))
	near := mine
	near[15] ^= 1
	before := w.file()
	for what, id := range map[string]string{
		"another's": theirs.String(), "the next number": near.String(), "an account's": w.ids["another"].String(),
		"upper case": strings.ToUpper(mine.String()), "cut short": mine.String()[:31], "too long": mine.String() + "0",
		"a path": "..%2f" + mine.String(), "decoded twice": "%2530" + mine.String()[1:], "NUL": mine.String() + "%00", "words": "deregister",
	} {
		path := "/registrations/" + id + "/deregister"
		for _, got := range []answer{w.get("another", path), w.post("another", path, ""), w.post("another", path, "id="+mine.String()+"&owner="+w.ids["another"].String())} {
			if got.status != 404 || got.page() != nothing.page() || w.file() != before {
				t.Errorf("%s: %s\n%s", what, got, got.body)
			}
		}
	}
	// Each try at another's is one line, which says whose it is.
	tries := 0
	for _, event := range w.events("access")[events:] {
		if field(event, "owner") == w.ids["owner"].String() {
			tries++
			if field(event, "outcome") != "refused" || field(event, "by.name") != "another" || field(event, "path") != "/registrations/"+theirs.String()+"/deregister" {
				t.Errorf("%v", event)
			}
		}
	}
	if tries != 3 {
		t.Errorf("%d lines for three tries", tries)
	}
	// The address says which one; the form is not asked.
	if got := w.post("another", "/registrations/"+mine.String()+"/deregister", "id="+theirs.String()); got.status != 303 {
		t.Errorf("one's own: %s", got)
	}
	if _, err := w.db.Registrations().Get(w.t.Context(), theirs); err != nil {
		t.Errorf("another's is gone: %v", err)
	}
	if len(w.sports("another")) != 0 {
		t.Error("one's own is still there")
	}
}

// A form with fields that it does not have is refused: nobody registers another, or
// names the id.
//
// ASVS 15.3.3, 8.2.3
func TestFieldsThatNobodyAskedForInARegistration(t *testing.T) {
	w := newWorld(t)
	theirs := w.ids["owner"].String()
	mine := "/registrations/" + w.registration("another", "Football").String() + "/edit"
	before := w.file()
	for _, more := range []string{"owner=" + theirs, "Owner=" + theirs, "account=" + theirs, "id=00000000000000000000000000000001", "at=0", "admin=true", "note=a&note=b"} {
		for _, path := range []string{"/registrations", mine} {
			if got := w.post("another", path, "sport=Swimming&"+more); got.status != 400 || w.file() != before {
				t.Errorf("%s with %s: %s", path, more, got)
			}
		}
	}
}

// A note keeps its lines, is shown as text, and comes back with a form that was
// refused.
func TestNotes(t *testing.T) {
	w := newWorld(t)
	note := " <b>first</b>\r\n\r\nsecond & \"last\" é "
	if got := w.post("owner", "/registrations", url.Values{"sport": {"Football"}, "note": {note}}.Encode()); got.status != 303 {
		t.Fatal(got)
	}
	list, _, err := w.db.Registrations().ListByOwner(t.Context(), w.ids["owner"], "", 10)
	w.must(err)
	r := list[0]
	if want := "<b>first</b>\n\nsecond & \"last\" é"; r.Note != want {
		t.Errorf("kept %q, want %q", r.Note, want)
	}
	path := "/registrations/" + r.ID.String()
	for _, page := range []string{path, path + "/edit"} {
		if body := w.get("owner", page).body; !strings.Contains(html.UnescapeString(body), ">"+strings.Repeat("\n", strings.Count(page, "/edit"))+r.Note+"</") || strings.Contains(body, "<b>") {
			t.Errorf("%s:\n%s", page, body)
		}
	}
	before := w.file()
	long := strings.Repeat("é", registrations.MaxNote+1)
	for _, page := range []string{"/registrations", path + "/edit"} {
		got := w.post("owner", page, url.Values{"sport": {"Climbing"}, "note": {long}}.Encode())
		if got.status != 422 || w.file() != before || !strings.Contains(got.body, "\n"+long+"</textarea>") || !strings.Contains(got.body, "<option selected>Climbing<") ||
			!strings.Contains(got.body, `<p class="wrong" id="note-error"`) || strings.Contains(got.body, `id="sport-error"`) || strings.Contains(got.body, `class="refusal"`) || strings.Count(got.body, "autofocus") != 1 {
			t.Errorf("%s: %s\n%s", page, got, got.body)
		}
		got = w.post("owner", page, url.Values{"sport": {"Chess"}, "note": {long}}.Encode())
		if got.status != 422 || w.file() != before || strings.Count(got.body, `class="wrong"`) != 2 || strings.Count(got.body, `class="refusal"`) != 1 || strings.Count(got.body, `aria-invalid="true"`) != 2 {
			t.Errorf("%s with two mistakes: %s\n%s", page, got, got.body)
		}
	}
	if got := w.post("owner", path+"/edit", url.Values{"sport": {"Climbing"}, "note": {strings.Repeat("é", registrations.MaxNote)}}.Encode()); got.String() != "303 "+path {
		t.Errorf("%s", got)
	}
	if body := w.get("owner", path).body; !strings.Contains(body, "<h1>Climbing</h1>") {
		t.Errorf("%s", body)
	}
	// One that was taken off the list is kept while the note changes.
	old := registrations.New(w.ids["owner"])
	old.Sport = "Croquet"
	w.must(w.db.Registrations().Insert(t.Context(), old))
	croquet := "/registrations/" + old.ID.String()
	if body := w.get("owner", croquet+"/edit").body; strings.Count(body, "<option>Croquet<") != 1 || strings.Contains(body, "selected") {
		t.Errorf("%s", body)
	}
	if got := w.post("owner", croquet+"/edit", "sport=Croquet&note=x"); got.String() != "303 "+croquet {
		t.Errorf("%s", got)
	}
	// A sport that the owner has already is refused, and so the registration stays.
	w.registration("owner", "Swimming")
	before = w.file()
	if got := w.post("owner", path+"/edit", "sport=Swimming"); got.status != 422 || !strings.Contains(got.body, `id="sport-error"`) || w.file() != before {
		t.Errorf("%s\n%s", got, got.body)
	}
	if made := w.events("registration change"); field(made[len(made)-1], "outcome") != "refused" || field(made[len(made)-1], "registration") != r.ID.String() {
		t.Errorf("%v", made)
	}
}

// Twenty on a page, each once, for the owner and in the back office.
func TestPagesOfRegistrations(t *testing.T) {
	w := newWorld(t)
	const n = 45
	for i := range n {
		r := registrations.New(w.ids["owner"])
		r.Sport = fmt.Sprintf("Sport %03d", i)
		w.must(w.db.Registrations().Insert(t.Context(), r))
	}
	w.registration("another", "Football")
	for visitor, path := range map[string]string{"owner": "/registrations", "administrator": adminAccount(w.ids["owner"])} {
		seen, pages := map[string]int{}, []int{}
		for path != "" && len(pages) < 10 {
			body := w.get(visitor, path).body
			rows := regexp.MustCompile(`<a href="/registrations/[0-9a-f]{32}">(Sport \d+)</a>`).FindAllStringSubmatch(body, -1)
			for _, row := range rows {
				seen[row[1]]++
			}
			pages = append(pages, len(rows))
			path = ""
			if next := nextPage.FindStringSubmatch(body); next != nil {
				path = html.UnescapeString(next[1])
			}
		}
		if len(seen) != n || !slices.Equal(pages, []int{20, 20, 5}) {
			t.Errorf("%s sees %d on pages of %v", visitor, len(seen), pages)
		}
	}
	for _, after := range []string{"x", "%00", "%ff", strings.Repeat("x", 5000)} {
		if got := w.get("owner", "/registrations?after="+after); got.status != 404 {
			t.Errorf("after %.10s: %s", after, got)
		}
	}
}

// An administrator does it for somebody, and comes back to their page.
func TestDeregisterForSomebody(t *testing.T) {
	w := newWorld(t)
	theirs := "/admin/accounts/" + w.ids["owner"].String()
	path := "/registrations/" + w.registration("owner", "Football").String() + "/deregister"
	if page := w.get("administrator", theirs).body; !strings.Contains(page, path) {
		t.Errorf("there is no way to it:\n%s", page)
	}
	before := w.file()
	if page := w.get("administrator", path); !strings.Contains(page.body, "<bdi>owner</bdi>") || !strings.Contains(page.body, theirs) || w.file() != before {
		t.Errorf("the page that asks: %s\n%s", page, page.body)
	}
	if got := w.post("administrator", path, ""); got.String() != "303 "+theirs || len(w.sports("owner")) != 0 {
		t.Errorf("%s, %q", got, w.sports("owner"))
	}
	if page := w.get("administrator", theirs).body; strings.Contains(page, "Football") {
		t.Errorf("it is still on the page:\n%s", page)
	}
	events := w.events("deregistration")
	if len(events) != 1 || field(events[0], "by.name") != "administrator" || field(events[0], "owner") != w.ids["owner"].String() || field(events[0], "outcome") != "done" {
		t.Errorf("%v", events)
	}
}

// What an account had is gone with it.
func TestRemovedWithTheAccount(t *testing.T) {
	w := newWorld(t)
	id := w.registration("owner", "Football")
	if got := w.post("owner", "/account/delete", "password="+url.QueryEscape(password)); got.status != 303 {
		t.Fatal(got)
	}
	if _, err := w.db.Registrations().Get(w.t.Context(), id); err == nil {
		t.Error("a registration of nobody")
	}
}

// An administrator re-authenticates before doing it for somebody else; the
// owner need not.
//
// ASVS 7.5.1
func TestDeregisterForAnotherAsksForReauthentication(t *testing.T) {
	w := newWorld(t)
	for _, visitor := range []string{"owner", "administrator"} {
		w.logInAt(visitor, time.Now().Add(stale))
	}
	path := "/registrations/" + w.registration("owner", "Football").String() + "/deregister"
	before := w.file()
	if got := w.get("administrator", path).String(); got != "303 /reauthenticate?next="+url.QueryEscape(path) {
		t.Errorf("the form: %s", got)
	}
	for form, want := range map[string]int{"": 401, "reauthenticate=wrong": 401} {
		if got := w.post("administrator", path, form); got.status != want || w.file() != before {
			t.Errorf("%q: %s", form, got)
		}
	}
	if got := w.post("owner", path, ""); got.String() != "303 /registrations" || len(w.sports("owner")) != 0 {
		t.Errorf("the owner: %s", got)
	}
	path = "/registrations/" + w.registration("owner", "Football").String() + "/deregister"
	got := w.post("administrator", path, url.Values{"reauthenticate": {password}}.Encode())
	if got.String() != "303 "+adminAccount(w.ids["owner"]) || len(w.sports("owner")) != 0 {
		t.Errorf("after re-authentication: %s", got)
	}
}

// What an administrator typed survives the form for the password, which stands in
// between, and then the interrupted form does its work.
func TestEditGoesOnAfterReauthentication(t *testing.T) {
	w := newWorld(t)
	path := "/registrations/" + w.registration("owner", "Football").String()
	w.logInAt("administrator", time.Now().Add(stale))
	for _, page := range []string{path, path + "/edit"} {
		if got := w.get("administrator", page).String(); got != "303 /reauthenticate?next="+url.QueryEscape(page) {
			t.Errorf("%s: %s", page, got)
		}
	}
	before := w.file()
	page := w.post("administrator", path+"/edit", "sport=Climbing&note=a%0D%0A%22b%22")
	if page.status != 401 || w.file() != before {
		t.Fatalf("%s", page)
	}
	form := url.Values{}
	for _, f := range hiddenFields.FindAllStringSubmatch(page.body, -1) {
		form.Set(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	for i, typed := range []string{"wrong", password} {
		form.Set("reauthenticate", typed)
		got := w.post("administrator", path+"/edit", form.Encode())
		if want := []string{"401", "303 " + path}[i]; got.String() != want {
			t.Fatalf("%q: %s, want %s", typed, got, want)
		}
		if i == 1 {
			w.cookies["administrator"] = got.cookie
		}
	}
	list, _, err := w.db.Registrations().ListByOwner(t.Context(), w.ids["owner"], "", 10)
	if err != nil || len(list) != 1 || list[0].Sport != "Climbing" || list[0].Note != "a\n\"b\"" {
		t.Errorf("%+v, %v", list, err)
	}
	// A second tab that still asks is let through, and its password is no field.
	if got := w.post("administrator", path+"/edit", form.Encode()); got.String() != "303 "+path {
		t.Errorf("the second tab: %s", got)
	}
}

// full is a store without room.
type full struct{ registrations.Store }

func (full) Insert(context.Context, registrations.Registration) error { return store.ErrFull }

// Any store may have no room, not only that of sessions.
func TestAnyStoreMayBeFull(t *testing.T) {
	w := newWorld(t)
	w.registrations = full{w.db.Registrations()}
	got := w.post("owner", "/registrations", "sport=Football")
	if got.status != 503 || got.header.Get("Retry-After") != "60" || strings.Contains(got.body, "store:") {
		t.Errorf("%s, Retry-After %q\n%s", got, got.header.Get("Retry-After"), got.body)
	}
	if sports := w.sports("owner"); len(sports) > 0 {
		t.Errorf("registered for %q", sports)
	}
}
