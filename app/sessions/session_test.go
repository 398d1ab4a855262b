package sessions_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
	"latchkey/app/sessions/storetest"
)

const secureCookie = "__Host-session"

var limits = sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}

// site is a Fiber app whose routes the test adds, with sessions in a real file.
type site struct {
	*sessions.Sessions
	t   *testing.T
	db  *bolt.DB
	app *fiber.App
}

func newSite(t *testing.T) *site {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "latchkey.db"), bolt.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return serve(t, db, sessions.New(storetest.Strict(t, db.Sessions()), limits, true))
}

// serve gives the three routes that every test uses: who, in and out.
func serve(t *testing.T, db *bolt.DB, all *sessions.Sessions) *site {
	s := &site{Sessions: all, t: t, db: db, app: fiber.New()}
	s.app.Use(func(c *fiber.Ctx) error {
		c.SetUserContext(t.Context()) // one that ends
		return c.Next()
	})
	s.app.Get("/who", func(c *fiber.Ctx) error {
		session, err := s.Read(c)
		if errors.Is(err, sessions.ErrEnded) {
			return c.SendString("no session")
		}
		if err != nil {
			return err
		}
		return c.SendString("session of " + session.Name)
	})
	s.app.Get("/in", func(c *fiber.Ctx) error { return s.begin(c, c.Query("name", "Ann")) })
	s.app.Get("/out", func(c *fiber.Ctx) error { return s.End(c) })
	return s
}

// begin logs in to the account of that name, which is made if it is not there.
func (s *site) begin(c *fiber.Ctx, name string) error {
	n, err := accounts.ParseName(name)
	if err != nil {
		return err
	}
	a, err := s.db.Accounts().ByName(c.UserContext(), n.Folded())
	if errors.Is(err, accounts.ErrNotFound) {
		a = accounts.Account{Name: accounts.StoredName(strings.Clone(name), n.Folded()), Hash: "hash", PasswordVersion: 1}
		rand.Read(a.ID[:])
		err = s.db.Accounts().Create(c.UserContext(), a)
	}
	if err != nil {
		return err
	}
	return s.Begin(c, sessions.Account(a.ID), a.PasswordVersion)
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	cookie *http.Cookie // the one that was set, or nil
}

// get sends a request with a cookie of that id, or without one if it is "".
func (s *site) get(path, id string) answer {
	s.t.Helper()
	return s.send(path, secureCookie, id)
}

func (s *site) send(path, cookie, id string) answer {
	s.t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if id != "" {
		r.Header.Set("Cookie", cookie+"="+id)
	}
	response, err := s.app.Test(r, -1)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, body: string(body)}
	cookies := response.Cookies()
	if len(cookies) > 1 || len(cookies) != len(response.Header.Values("Set-Cookie")) {
		s.t.Errorf("%s sets %q", path, response.Header.Values("Set-Cookie"))
	}
	if len(cookies) > 0 {
		a.cookie = cookies[0]
	}
	return a
}

// login begins a session and returns its id.
func (s *site) login(path, id string) string {
	s.t.Helper()
	a := s.get(path, id)
	if a.status != 200 || a.cookie == nil || a.cookie.Value == "" {
		s.t.Fatalf("%s: %d %s, cookie %v", path, a.status, a.body, a.cookie)
	}
	return a.cookie.Value
}

func (s *site) mustBe(id, who string) {
	s.t.Helper()
	if a := s.get("/who", id); a.status != 200 || a.body != who || a.cookie != nil {
		s.t.Errorf("%d %q and the cookie %v, want %q and none", a.status, a.body, a.cookie, who)
	}
}

// ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4
func TestCookie(t *testing.T) {
	s := newSite(t)
	for _, secure := range []bool{true, false} {
		name := map[bool]string{true: secureCookie, false: "session"}[secure]
		other := serve(t, s.db, sessions.New(s.db.Sessions(), limits, secure))
		begun := other.get("/in", "").cookie
		if begun == nil {
			t.Fatal("no cookie")
		}
		ended := other.send("/out", name, begun.Value).cookie
		for what, c := range map[string]*http.Cookie{"begun": begun, "ended": ended} {
			if c == nil {
				t.Fatalf("%s: no cookie", what)
			}
			if c.Name != name || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("%s, secure %v: %s", what, secure, c.Raw)
			}
		}
		if begun.MaxAge != int(limits.Lifetime.Seconds()) {
			t.Errorf("it lasts %d seconds", begun.MaxAge)
		}
		if ended.Value != "" || !ended.Expires.Before(time.Now()) {
			t.Errorf("it is not cleared: %s", ended.Raw)
		}
	}
	// Neither takes the other's name: a plain cookie could be planted by a
	// neighbouring site.
	id := s.login("/in", "")
	if a := s.send("/who", "session", id); a.body != "no session" {
		t.Errorf("a cookie called session: %s", a.body)
	}
	s.mustBe(id, "session of Ann")
}

// ASVS 7.2.2, 7.2.3, 11.5.1
func TestIDsAreRandom(t *testing.T) {
	s := newSite(t)
	seen := map[string]bool{}
	var ones [256]int
	for range 10_000 {
		c := s.app.AcquireCtx(&fasthttp.RequestCtx{})
		sess, err := s.Open(c) // which makes an id as Begin does, and writes nothing
		if err != nil {
			t.Fatal(err)
		}
		id := sess.ID()
		s.app.ReleaseCtx(c)
		bits, err := base64.RawURLEncoding.DecodeString(id[:min(43, len(id))])
		if len(id) != 51 || err != nil || len(bits) != 32 || seen[id] {
			t.Fatalf("%q, seen before: %v", id, seen[id])
		}
		seen[id] = true
		for i := range ones {
			ones[i] += int(bits[i/8] >> (i % 8) & 1)
		}
	}
	for i, n := range ones {
		if n < 4500 || n > 5500 { // ten standard deviations
			t.Errorf("bit %d is one in %d of 10,000 ids", i, n)
		}
	}
}

// ASVS 7.2.4
func TestBeginChangesTheID(t *testing.T) {
	s := newSite(t)
	old := s.login("/in?name=Ann", "")
	s.mustBe(old, "session of Ann")
	renewed := s.login("/in?name=Bob", old)
	if renewed == old {
		t.Error("the id is the same")
	}
	s.mustBe(renewed, "session of Bob")
	s.mustBe(old, "no session")
	// Another browser is not touched.
	other := s.login("/in?name=Cid", "")
	s.mustBe(renewed, "session of Bob")
	s.mustBe(other, "session of Cid")
}

// ASVS 7.2.1, 7.2.4
func TestAnIDOfTheClientIsNeverAdopted(t *testing.T) {
	s := newSite(t)
	s.app.Get("/save", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		sess.Set("x", 1)
		return sess.Save()
	})
	for _, id := range []string{
		strings.Repeat("A", 51), strings.Repeat("A", 50), strings.Repeat("A", 52), "x", "0", "null", strings.Repeat("A", 3000),
		strings.Repeat("%", 51), strings.Repeat("é", 51), "../../../../../../../../../../../../etc/passwd", `"` + strings.Repeat("A", 49) + `"`,
	} {
		s.mustBe(id, "no session")
		for _, path := range []string{"/in", "/save"} {
			if made := s.login(path, id); made == id || len(made) != 51 {
				t.Errorf("%s with %.50q makes the id %q", path, id, made)
			}
			s.mustBe(id, "no session")
		}
		if a := s.get("/out", id); a.status != 200 {
			t.Errorf("ending %.50q: %d %s", id, a.status, a.body)
		}
	}
}

func TestTheIDIsTakenFromTheCookieOnly(t *testing.T) {
	s := newSite(t)
	id := s.login("/in", "")
	for _, path := range []string{"/who?" + secureCookie + "=" + id, "/who?session=" + id} {
		if a := s.get(path, ""); a.body != "no session" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := s.send("/who", "__HOST-SESSION", id); a.body != "no session" {
		t.Errorf("with a cookie of another name: %s", a.body)
	}
}

// A visitor must not leave with the id of a session that does not exist, and
// the one they had stays. ASVS 16.5.3
func TestBeginThatFailsLeavesNoCookie(t *testing.T) {
	s := newSite(t)
	old := s.login("/in?name=Ann", "")
	failing := errors.New("the disk is on fire")
	broken := serve(t, s.db, sessions.New(failingBegin{s.db.Sessions(), failing}, limits, true))
	var got error
	broken.app.Get("/try", func(c *fiber.Ctx) error {
		got = broken.begin(c, "Bob")
		return c.SendString("tried")
	})
	for range 3 { // a session that Fiber left locked must not come back
		for _, id := range []string{"", old} {
			if a := broken.get("/try", id); a.cookie != nil || !errors.Is(got, failing) {
				t.Errorf("error %v, cookie %v", got, a.cookie)
			}
		}
	}
	s.mustBe(old, "session of Ann")
	s.mustBe(s.login("/in?name=Bob", ""), "session of Bob")
}

type failingBegin struct {
	sessions.Store
	err error
}

func (f failingBegin) Begin(context.Context, sessions.Key, sessions.Key, sessions.Session, []byte) error {
	return f.err
}

// ASVS 7.4.1
func TestEnd(t *testing.T) {
	s := newSite(t)
	id, other := s.login("/in?name=Ann", ""), s.login("/in?name=Ann", "")
	if a := s.get("/out", id); a.status != 200 || a.cookie == nil || a.cookie.Value != "" {
		t.Errorf("%d, cookie %v", a.status, a.cookie)
	}
	s.mustBe(id, "no session") // whoever kept a copy
	s.mustBe(other, "session of Ann")
	// Twice is no error, and neither is nobody.
	for _, id := range []string{id, ""} {
		if a := s.get("/out", id); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}

	// If the store cannot forget the session, the visitor is not told that it did.
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if a := s.get("/out", other); a.status != 500 || a.cookie != nil {
		t.Errorf("%d, cookie %v", a.status, a.cookie)
	}
}

// A request that began before the logout and saves after it.
func TestSaveAfterEndDoesNotRevive(t *testing.T) {
	s := newSite(t)
	for slow, meanwhile := range map[string]string{"/slow/logout": "/out", "/slow/login": "/in?name=Bob"} {
		t.Run(slow, func(t *testing.T) {
			opened, goOn, saved := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			s.app.Get(slow, func(c *fiber.Ctx) error {
				sess, err := s.Open(c)
				close(opened)
				if err != nil {
					saved <- err
					return nil
				}
				<-goOn
				sess.Set("x", 1)
				saved <- sess.Save()
				return nil
			})
			id := s.login("/in?name=Ann", "")
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.get(slow, id)
			}()
			<-opened
			s.get(meanwhile, id)
			close(goOn)
			if err := <-saved; !errors.Is(err, sessions.ErrEnded) {
				t.Errorf("the save says %v", err)
			}
			<-done
			s.mustBe(id, "no session")
		})
	}
}

func TestAnonymousSession(t *testing.T) {
	s := newSite(t)
	counts := func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		n, _ := sess.Get("count").(int)
		sess.Set("count", n+1)
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(strings.Repeat("I", n+1))
	}
	s.app.Get("/count", counts)
	s.app.Get("/look", func(c *fiber.Ctx) error {
		_, err := s.Open(c)
		return err
	})

	if a := s.get("/look", ""); a.cookie != nil {
		t.Errorf("looking sets %v", a.cookie)
	}
	first := s.get("/count", "")
	if first.body != "I" || first.cookie == nil {
		t.Fatalf("%d %q, cookie %v", first.status, first.body, first.cookie)
	}
	id := first.cookie.Value
	s.mustBe(id, "session of ") // nobody
	if a := s.get("/count", id); a.body != "II" || a.cookie.Value != id {
		t.Errorf("%q, cookie %v", a.body, a.cookie)
	}
	// What nobody put there does not come along to the account.
	in := s.login("/in", id)
	s.mustBe(id, "no session")
	if a := s.get("/count", in); a.body != "I" || a.cookie.Value != in {
		t.Errorf("%q, cookie %v", a.body, a.cookie)
	}
	s.mustBe(in, "session of Ann")
}

func TestDataRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	db, err := bolt.Open(path, bolt.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, db, sessions.New(db.Sessions(), limits, true))
	s.app.Get("/put", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		sess.Set("text", "a\x00b\xff")
		sess.Set("number", -7)
		sess.Set("name", "root") // data, and not who is there
		return sess.Save()
	})
	id := s.login("/in", "")
	if a := s.get("/put", id); a.status != 200 {
		t.Fatal(a.body)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if db, err = bolt.Open(path, bolt.Options{Limits: limits}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s = serve(t, db, sessions.New(db.Sessions(), limits, true))
	s.app.Get("/get", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		if sess.Get("text") != "a\x00b\xff" || sess.Get("number") != -7 || sess.Fresh() || sess.ID() != id {
			t.Errorf("%q %v, fresh %v", sess.Get("text"), sess.Get("number"), sess.Fresh())
		}
		return nil
	})
	if a := s.get("/get", id); a.status != 200 {
		t.Error(a.body)
	}
	s.mustBe(id, "session of Ann")
}

// Open and Begin in one request, in both orders.
func TestOpenAndBeginInOneRequest(t *testing.T) {
	s := newSite(t)
	s.app.Get("/open-begin", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		sess.Set("x", "of nobody")
		return s.begin(c, "Ann")
	})
	s.app.Get("/begin-open", func(c *fiber.Ctx) error {
		if err := s.begin(c, "Ann"); err != nil {
			return err
		}
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		if x := sess.Get("x"); x != nil {
			t.Errorf("the new session has %v of the old", x)
		}
		sess.Set("x", "mine")
		return sess.Save()
	})
	s.app.Get("/x", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return err
		}
		x, _ := sess.Get("x").(string)
		return c.SendString(x)
	})
	id := s.login("/open-begin", "")
	s.mustBe(id, "session of Ann")
	if a := s.get("/x", id); a.body != "" {
		t.Errorf("the session has %q", a.body)
	}
	renewed := s.login("/begin-open", id)
	s.mustBe(id, "no session")
	s.mustBe(renewed, "session of Ann")
	if a := s.get("/x", renewed); a.body != "mine" {
		t.Errorf("the session has %q", a.body)
	}
}

// A builder who gives the store to Fiber's middleware makes nobody logged in.
// ASVS 8.3.1
func TestFibersOwnUseLogsNobodyIn(t *testing.T) {
	s := newSite(t)
	s.app.Get("/fiber", func(c *fiber.Ctx) error {
		theirs := session.New(session.Config{
			Storage:      sessions.NewStorage(c.UserContext(), s.db.Sessions(), limits),
			KeyLookup:    "cookie:" + secureCookie,
			KeyGenerator: func() string { return strings.Repeat("F", 51) },
		})
		sess, err := theirs.Get(c)
		if err != nil {
			return err
		}
		sess.Set("name", "root")
		return sess.Save()
	})
	id := s.login("/fiber", "")
	s.mustBe(id, "session of ")
	// Nor somebody else.
	ann := s.login("/in?name=Ann", "")
	s.login("/fiber", ann)
	s.mustBe(ann, "session of Ann")
	// Nor anybody again.
	s.get("/out", ann)
	s.login("/fiber", ann)
	s.mustBe(ann, "no session")
}

// A name lives longer than the request whose buffer it was read from.
func TestBeginCopiesTheName(t *testing.T) {
	s := newSite(t)
	id := s.login("/in?name=Ann-the-first", "")
	for range 20 {
		s.login("/in?name=Bob-the-other", "")
	}
	s.mustBe(id, "session of Ann-the-first")
}

// ASVS 7.3.1, 7.3.2
func TestLimits(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		seen, want time.Duration // after it began
	}{
		{0, time.Hour},
		{30 * time.Minute, 90 * time.Minute},
		{22 * time.Hour, 23 * time.Hour},
		{23 * time.Hour, 24 * time.Hour},
		{23*time.Hour + time.Minute, 24 * time.Hour}, // activity never passes the lifetime
		{240 * time.Hour, 24 * time.Hour},
	} {
		if got := limits.End(at, at.Add(test.seen)).Sub(at); got != test.want {
			t.Errorf("seen after %s it ends after %s, want %s", test.seen, got, test.want)
		}
	}
}

func TestReadReportsFaults(t *testing.T) {
	s := newSite(t)
	id := s.login("/in", "")
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	// A fault must not look like a visitor who is nobody, nor like one who is.
	if a := s.get("/who", id); a.status != 500 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Data that are not what was written are an error, and neither a panic nor
// somebody's session. What they are not asked for goes on. ASVS 1.5.2
func TestDataThatIsNone(t *testing.T) {
	s := newSite(t)
	s.app.Get("/open", func(c *fiber.Ctx) error {
		sess, err := s.Open(c)
		if err != nil {
			return fmt.Errorf("refused: %w", err)
		}
		return c.SendString(fmt.Sprint("keys ", sess.Keys()))
	})
	id := s.login("/in?name=Ann", "")
	whole, err := s.db.Sessions().Data(t.Context(), sessions.KeyOf(id))
	if err != nil || len(whole) == 0 {
		t.Fatalf("%q, %v", whole, err)
	}
	if a := s.get("/open", id); a.status != 200 {
		t.Fatal(a.body)
	}
	garbage := [][]byte{
		{0}, {0xff}, []byte("nonsense"), []byte(`{"name":"root"}`), bytes.Repeat([]byte{0xff}, 4096),
		whole[:len(whole)-1], whole[1:], append([]byte{0xf8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, whole...), // a length beyond memory
	}
	// What another program of ours might have written, but no session has.
	for _, value := range []any{"text", 7, []string{"name", "root"}, map[string]int{"name": 1}, struct{ Name string }{"root"}} {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(value); err != nil {
			t.Fatal(err)
		}
		garbage = append(garbage, b.Bytes())
	}
	for _, data := range garbage {
		if err := s.db.Sessions().Change(t.Context(), sessions.KeyOf(id), data); err != nil {
			t.Fatal(err)
		}
		if a := s.get("/open", id); a.status != 500 || strings.Contains(a.body, "keys") || a.cookie != nil {
			t.Errorf("%.20q: %d %s, cookie %v", data, a.status, a.body, a.cookie)
		}
		s.mustBe(id, "session of Ann")
	}
	if err := s.db.Sessions().Change(t.Context(), sessions.KeyOf(id), whole); err != nil {
		t.Fatal(err)
	}
	if a := s.get("/open", id); a.status != 200 {
		t.Error(a.body)
	}
}
