package web

import (
	"context"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/app/internal/store"
	"latchkey/app/registrations"
)

// registration makes one of an account.
func (w *world) registration(of, sport string) registrations.ID {
	w.t.Helper()
	r, err := registrations.New(w.db.Registrations(), time.Now).Register(w.t.Context(), w.ids[of], sport)
	w.must(err)
	return r.ID
}

// mustHaveNoRegistrations fails the test if an account has any.
func (w *world) mustHaveNoRegistrations(of string) {
	w.t.Helper()
	if sports := w.sports(of); len(sports) > 0 {
		w.t.Errorf("%s is registered for %q", of, sports)
	}
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

func TestRegisterAndDeregister(t *testing.T) {
	w := newWorld(t)
	shows := func(has bool, sport string) {
		t.Helper()
		body := html.UnescapeString(w.get("owner", "/registrations").body)
		if strings.Contains(body, `data-sport="`+sport+`"`) != has || strings.Contains(body, "<option>"+sport+"<") == has {
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
	if got := w.post("owner", "/registrations", "sport=Football"); got.status != 422 || w.file() != before {
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
	if made, gone := len(w.events("registration")), len(w.events("deregistration")); made != len(list)+1 || gone != 2*len(list) {
		t.Errorf("%d and %d lines in the log", made, gone)
	}
}

// ASVS 2.2.1, 2.2.2: the list of sports is the server's.
func TestSportsThatThereAreNot(t *testing.T) {
	w := newWorld(t)
	before := w.file()
	for form, want := range map[string]int{
		"": 422, "sport=": 422, "sport=football": 422, "sport=Chess": 422, "sport=Football%00": 422, "sport=Football+": 422, "Sport=Football": 422,
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
	events := len(w.events("deregistration"))
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
	for _, event := range w.events("deregistration")[events:] {
		if field(event, "owner") == w.ids["owner"].String() {
			tries++
			if field(event, "outcome") != "refused" || field(event, "by.name") != "another" || field(event, "registration") != theirs.String() {
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

// Fields that a form does not have are not read: nobody registers another, or
// names the id.
//
// ASVS 15.3.3, 8.2.3
func TestFieldsThatNobodyAskedForInARegistration(t *testing.T) {
	w := newWorld(t)
	theirs := w.ids["owner"].String()
	got := w.post("another", "/registrations", "sport=Swimming&owner="+theirs+"&Owner="+theirs+"&account="+theirs+"&id=00000000000000000000000000000001&at=0&admin=true")
	if got.status != 303 {
		t.Fatal(got)
	}
	if len(w.sports("owner")) != 0 || len(w.sports("another")) != 1 {
		t.Errorf("owner: %q, another: %q", w.sports("owner"), w.sports("another"))
	}
	if _, err := w.db.Registrations().Get(w.t.Context(), registrations.ID{15: 1}); err == nil {
		t.Error("the form chose the id")
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

// An administrator proves themselves again before doing it for somebody else; the
// owner need not.
//
// ASVS 7.5.1
func TestDeregisterForAnotherAsksForAProof(t *testing.T) {
	w := newWorld(t)
	for _, visitor := range []string{"owner", "administrator"} {
		w.logInAt(visitor, time.Now().Add(stale))
	}
	path := "/registrations/" + w.registration("owner", "Football").String() + "/deregister"
	before := w.file()
	if got := w.get("administrator", path).String(); got != "303 /prove?next="+url.QueryEscape(path) {
		t.Errorf("the form: %s", got)
	}
	for form, want := range map[string]int{"": 401, "proof=wrong": 401} {
		if got := w.post("administrator", path, form); got.status != want || w.file() != before {
			t.Errorf("%q: %s", form, got)
		}
	}
	if got := w.post("owner", path, ""); got.String() != "303 /registrations" || len(w.sports("owner")) != 0 {
		t.Errorf("the owner: %s", got)
	}
	path = "/registrations/" + w.registration("owner", "Football").String() + "/deregister"
	got := w.post("administrator", path, url.Values{"proof": {password}}.Encode())
	if got.String() != "303 "+adminAccount(w.ids["owner"]) || len(w.sports("owner")) != 0 {
		t.Errorf("after the proof: %s", got)
	}
}

// full is a store without room.
type full struct{ registrations.Store }

func (full) Insert(context.Context, registrations.Registration) error { return store.ErrFull }

// Any store may have no room, not only that of sessions.
func TestAnyStoreMayBeFull(t *testing.T) {
	w := newWorld(t)
	w.registrations = registrations.New(full{w.db.Registrations()}, nil)
	got := w.post("owner", "/registrations", "sport=Football")
	if got.status != 503 || got.header.Get("Retry-After") != "60" || strings.Contains(got.body, "store:") {
		t.Errorf("%s, Retry-After %q\n%s", got, got.header.Get("Retry-After"), got.body)
	}
	w.mustHaveNoRegistrations("owner")
}
