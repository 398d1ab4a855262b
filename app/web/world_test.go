package web

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	accountstest "latchkey/app/accounts/storetest"
	"latchkey/app/bolt"
	registrationstest "latchkey/app/registrations/storetest"
	"latchkey/app/sessions"
	sessionstest "latchkey/app/sessions/storetest"
	"latchkey/config"
)

// world is a site on a file of its own, with one account of each kind, all with
// the same password, and a cookie for each.
type world struct {
	*Site
	t       *testing.T
	db      *bolt.DB
	lines   *lines
	ahead   atomic.Int64 // by how much the clock of the accounts is ahead, in nanoseconds
	ids     map[string]accounts.ID
	cookies map[string]string
}

// visitors is every kind of visitor, in the order of the columns of the tables.
// The disabled one was logged in before.
var visitors = [...]string{"nobody", "owner", "another", "administrator", "disabled"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, lines: &lines{}, ids: map[string]accounts.ID{}, cookies: map[string]string{}}
	limits := sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}
	var err error
	if w.db, err = bolt.Open(filepath.Join(t.TempDir(), "x.db"), bolt.Options{Limits: limits}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	people, err := accounts.New(t.Context(), accountstest.Strict(t, w.db.Accounts()), accounts.Settings{Cost: accounts.Cost{Memory: 64, Passes: 1, Lanes: 1}},
		func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	settings := config.Settings{Title: "store", Origin: "https://example.com", PasswordMin: 15, SessionIdle: limits.Idle, SessionLifetime: limits.Lifetime}
	w.Site, err = New(Options{Settings: settings, Accounts: people, Events: accountstest.StrictEvents(t, w.db.Events()), Sessions: sessionstest.Strict(t, w.db.Sessions()), Log: slog.New(slog.NewJSONHandler(w.lines, nil)),
		Registrations: registrationstest.Strict(t, w.db.Registrations()),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range visitors[1:] {
		w.add(name)
	}
	w.must(people.SetAdmin(t.Context(), w.ids["administrator"], true))
	w.must(people.SetDisabled(t.Context(), w.ids["disabled"], true))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var hashed struct {
	sync.Once
	hash string // of password
}

// add makes an account of that name and logs it in.
func (w *world) add(name string) {
	w.t.Helper()
	hashed.Do(func() {
		a, err := w.accounts.SignUp(w.t.Context(), name, password, netip.MustParseAddr("192.0.2.1"))
		w.must(err)
		hashed.hash = a.Hash
		w.must(w.accounts.Remove(w.t.Context(), a.ID))
	})
	n, err := accounts.ParseName(name)
	w.must(err)
	at := time.Now().UTC().Truncate(time.Microsecond)
	a := accounts.Account{Name: n, Hash: hashed.hash, Created: at, PasswordChanged: at, PasswordVersion: 1}
	rand.Read(a.ID[:])
	w.must(w.db.Accounts().Create(w.t.Context(), a))
	w.ids[name] = a.ID
	w.logIn(name)
}

// logIn begins a session for the account of that name, and keeps its cookie.
func (w *world) logIn(name string) { w.logInAt(name, time.Now()) }

// logInAt begins a session that began, was seen and was re-authenticated then.
func (w *world) logInAt(name string, now time.Time) {
	w.t.Helper()
	a, err := w.accounts.Get(w.t.Context(), w.ids[name])
	w.must(err)
	id := sessions.NewID(time.Now())
	w.must(w.db.Sessions().Begin(w.t.Context(), sessions.KeyOf(id), sessions.Key{}, sessions.Session{Account: sessions.Account(a.ID), PasswordVersion: a.PasswordVersion, Began: stored(now), Seen: stored(time.Now()), Reauthenticated: stored(now)}, nil))
	w.cookies[name] = "__Host-session=" + id
}

// stored returns a time as stores of sessions keep it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// answer is what a visitor gets.
type answer struct {
	status int
	header http.Header
	body   string
	cookie string // of a session that has begun, or ""
}

// String returns the status, and where a redirect leads.
func (a answer) String() string {
	return strings.TrimSpace(fmt.Sprint(a.status, " ", a.header.Get("Location")))
}

// requestID is what differs between two error pages that are otherwise equal.
var requestID = regexp.MustCompile(`<code>[^<]*</code>`)

// page returns the body without what differs at each request.
func (a answer) page() string { return requestID.ReplaceAllString(a.body, "") }

func (w *world) get(visitor, path string) answer {
	w.t.Helper()
	return w.send(visitor, "GET", path, "")
}

func (w *world) post(visitor, path, form string) answer {
	w.t.Helper()
	return w.send(visitor, "POST", path, form)
}

func (w *world) send(visitor, method, path, form string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie := w.cookies[visitor]; cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	response, err := w.app.Test(r, -1)
	w.must(err)
	body, err := io.ReadAll(response.Body)
	w.must(err)
	a := answer{status: response.StatusCode, header: response.Header, body: string(body)}
	for _, cookie := range response.Cookies() {
		if cookie.Name == "__Host-session" && cookie.Value != "" {
			a.cookie = cookie.Name + "=" + cookie.Value
		}
	}
	return a
}

// file returns a sum of everything on file but what is written a moment later: the
// events, of refusals too, and the lists of the accounts' sessions with the mark of
// how far they go. The sessions themselves count.
func (w *world) file() (sum [32]byte) {
	w.t.Helper()
	h := sha256.New()
	w.must(w.db.Bolt().View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			switch string(name) {
			case "events", "account sessions":
				return nil
			}
			fmt.Fprintf(h, "\n%q\n", name)
			return b.ForEach(func(k, v []byte) error {
				if string(k) != "sessions indexed up to" {
					fmt.Fprintf(h, "%x=%x\n", k, v)
				}
				return nil
			})
		})
	}))
	return [32]byte(h.Sum(nil))
}

// lines is a log that can be read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// String returns the log so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// events returns the lines so far that are called so.
func (w *world) events(what string) (events []map[string]any) {
	w.t.Helper()
	for line := range strings.Lines(w.lines.String()) {
		event := map[string]any{}
		w.must(json.Unmarshal([]byte(line), &event))
		if event["msg"] == what {
			events = append(events, event)
		}
	}
	return events
}

// field returns a part of an event, such as "account.name".
func field(event map[string]any, path string) string {
	var value any = event
	for _, key := range strings.Split(path, ".") {
		group, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = group[key]
	}
	text, _ := value.(string)
	return text
}
