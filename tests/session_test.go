package tests

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ASVS 7.2.2, 7.2.3: 256 bits from a secure source, in 43 characters, never twice. What follows them is the time.
func TestSessionIDsAreLongAndNew(t *testing.T) {
	t.Parallel()
	s := newDevServer(t) // without passwords, each of which takes its time
	s.start()
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]{51}$`)
	seen := map[string]bool{}
	columns := make([]map[byte]bool, 43)
	for range 60 {
		id := s.login("Ada").session()
		if !shape.MatchString(id) {
			t.Fatalf("an id of %d characters is not 51 of base64url", len(id))
		}
		if seen[id] {
			t.Fatal("an id came twice")
		}
		seen[id] = true
		for i := range columns {
			if columns[i] == nil {
				columns[i] = map[byte]bool{}
			}
			columns[i][id[i]] = true
		}
	}
	// Nothing in these stands still: no counter, no prefix. The last of them holds four bits only.
	for i, values := range columns {
		if len(values) < 8 {
			t.Errorf("character %d has only %d values in 60 ids", i, len(values))
		}
	}
}

// ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4: the cookie of a login and the one that clears it are as narrow as cookies can be.
// client.keep checks the same on every answer of every test.
func TestCookieIsNarrow(t *testing.T) {
	t.Parallel()
	s := start(t, "--session-lifetime=48h", "--session-idle=24h")
	s.signUp("Ada")
	c := s.client()
	login := c.post("/login", s.proof("Ada"))
	logout := c.post("/logout", nil)
	for _, p := range []*page{login, logout} {
		cookies := map[string]*http.Cookie{}
		for _, line := range p.header.Values("Set-Cookie") {
			cookie, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatal(err)
			}
			cookies[cookie.Name] = cookie
		}
		cookie := cookies[sessionCookie]
		// The browser stays known after a logout.
		if cookie == nil || len(cookies) != len(p.header.Values("Set-Cookie")) || (cookies[knownCookie] != nil) != (p == login) {
			t.Fatalf("%s sets %d cookies", p, len(cookies))
		}
		if cookie.Name != "__Host-session" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%s sets a wide cookie", p)
		}
		// The browser may forget it sooner than the server, not later.
		if cookie.MaxAge > 48*3600 || time.Until(cookie.Expires) > 48*time.Hour {
			t.Errorf("%s sets a cookie that outlives the session", p)
		}
		if (p == logout) != (cookie.Value == "" || cookie.MaxAge < 0) {
			t.Errorf("%s: the cookie's value has %d characters, its age is %d", p, len(cookie.Value), cookie.MaxAge)
		}
	}
}

// ASVS 7.4.1: a logout ends the session on the server. The cookie, replayed, is nobody, now and after a restart.
func TestReplayAfterLogout(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, bystander := s.login("Ada"), s.login("Ada")
	thief := c.copy()
	thief.mustBe("Ada")
	c.logout()
	thief.mustBeNobody()
	s.restart()
	thief.mustBeNobody()
	// Only that session ended.
	bystander.mustBe("Ada")
}

// A logout that was answered is on disk, whatever happens to the process next.
func TestLogoutSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := start(t)
	stays, goes := s.login("Stays"), s.login("Goes")
	thief := goes.copy()
	goes.logout()
	s.kill()
	s.start()
	stays.mustBe("Stays")
	thief.mustBeNobody()
}

func TestSessionSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, nobody := s.login("Ada"), s.client()
	id := c.session()
	for range 3 {
		s.restart()
		c.mustBe("Ada")
		nobody.mustBeNobody()
	}
	if c.session() != id {
		t.Error("the id changed by itself")
	}
}

// ASVS 7.2.1: an id that the client made is nobody and is never adopted.
func TestClientMadeIDIsNeverAdopted(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, made := range []string{
		strings.Repeat("A", 51), "x", strings.Repeat("A", 50), strings.Repeat("A", 52), strings.Repeat("-_", 30),
		"%00", "../../etc/passwd", `"quoted"`, strings.Repeat("é", 20), "name=Ada", "null", "0",
	} {
		c := s.client()
		c.cookies[sessionCookie] = made
		c.mustBeNobody()
		c.login("Ada")
		if c.session() == made {
			t.Fatalf("the login took over the id %q", made)
		}
		fixed := s.client()
		fixed.cookies[sessionCookie] = made
		fixed.mustBeNobody()
		c.mustBe("Ada")
	}
}

// ASVS 7.2.4: a login begins a new session under a new id. What the browser held before is dead.
func TestLoginChangesTheID(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	before := c.session()
	old := c.copy()
	s.signUp("Eve")
	answer := c.post("/login", s.proof("Eve"))
	answer.expect(http.StatusSeeOther)
	if c.session() == before {
		t.Fatal("the id is the one from before the login")
	}
	c.mustBe("Eve")
	old.mustBeNobody()

	// Logged out and in again: neither of the old ids comes back.
	eve := c.session()
	c.logout()
	c.login("Eve")
	if id := c.session(); id == before || id == eve {
		t.Error("an id came back")
	}
	c.mustBe("Eve")
	stale := s.client()
	stale.cookies[sessionCookie] = before
	stale.mustBeNobody()
}

// ASVS 7.2.1: whatever stands in the cookie, the page comes and says nobody, or the request is refused.
func TestOddCookies(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.login("Ada").session()
	for _, test := range []struct {
		what, cookie string
	}{
		{"8 KiB", sessionCookie + "=" + strings.Repeat("A", 8192)},
		{"random bytes", sessionCookie + "=\x80\xff\xfe\xc0\xaf"},
		{"empty", sessionCookie + "="},
		{"no value", sessionCookie},
		{"cut short", sessionCookie + "=" + id[:42]},
		{"lengthened", sessionCookie + "=" + id + "A"},
		{"another case", sessionCookie + "=" + swapCase(id)},
		{"padded", sessionCookie + "=" + id + "="},
		{"under the name of --dev", devSessionCookie + "=" + id},
		{"without the prefix", "Host-session=" + id},
		{"in another case of name", "__host-SESSION=" + id},
		{"semicolons", ";;;=;=;" + sessionCookie + ";"},
		{"a thousand cookies", strings.Repeat("a=b; ", 500)},
		{"the hash for the id", sessionCookie + "=" + base64.RawURLEncoding.EncodeToString(sum(id)) + id[43:]},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := s.client()
			c.t = t
			p := c.send(request{method: http.MethodGet, path: "/", header: map[string]string{"Cookie": test.cookie}})
			switch p.status {
			case http.StatusOK:
				p.is("").hides("Ada")
			case http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge:
				p.hides("Ada")
			default:
				t.Errorf("status %d", p.status)
			}
			if c.session() != "" {
				t.Error("the answer made a session")
			}
		})
	}
}

// Anonymous visits leave no trace: no cookie, and not a byte in the file.
func TestAnonymousVisitsMakeNoSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	c.get("/")
	before := sha256.Sum256(s.file())
	for range 20 {
		for _, path := range []string{"/", "/login", "/signup", "/logout", "/account", "/no-such-page"} {
			if cookies := c.get(path).header.Values("Set-Cookie"); len(cookies) > 0 {
				t.Fatalf("%s sets a cookie", path)
			}
		}
	}
	if sha256.Sum256(s.file()) != before {
		t.Error("anonymous visits changed the file")
	}
}

// ASVS 7.3.1, 7.3.2: who is busy outlives the idle limit several times over, and yet the lifetime ends the session.
func TestLifetimeEndsABusySession(t *testing.T) {
	t.Parallel()
	const idle, lifetime = time.Second, 4500 * time.Millisecond
	s := start(t, "--session-idle="+idle.String(), "--session-lifetime="+lifetime.String())
	left, c := s.login("Ada"), s.login("Ada")
	begun := time.Now()
	var lasted time.Duration
	await(t, "the session to end", func() bool {
		if c.get("/").account() == "" {
			return true
		}
		lasted = time.Since(begun)
		return false
	})
	left.mustBeNobody() // the idle limit was in force
	if lasted < 3*idle {
		t.Errorf("with an idle limit of %s a busy session lasted %s", idle, lasted)
	}
	c.mustBeNobody()
	c.login("Ada")
	c.mustBe("Ada")
}

// ASVS 7.3.1: a session nobody uses ends after the idle limit, and stays dead.
func TestIdleLimitEndsASession(t *testing.T) {
	t.Parallel()
	s := start(t, "--session-idle=1s", "--session-lifetime=1h")
	c := s.login("Ada")
	c.mustBe("Ada")
	// Asking would keep the session alive, and the limit is real time in the binary, so there is nothing to await.
	time.Sleep(2500 * time.Millisecond)
	c.mustBeNobody()
	c.mustBeNobody()
}

// ASVS 7.3.1, 7.3.2, 7.4.1: the limits hold for a process that was not there when the session began. Each is far
// from its end when the other one ends the session.
func TestLimitsHoldAfterARestart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		idle, lifetime time.Duration
		busy           bool
	}{
		{"idle", 2 * time.Second, time.Hour, false},
		{"lifetime", time.Hour, 4 * time.Second, true},
		// Activity is written every two seconds; the last leaves most of the idle limit.
		{"lifetime, renewed", 20 * time.Second, 6 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "--session-idle="+test.idle.String(), "--session-lifetime="+test.lifetime.String())
			s.signUp("Ada")
			c := s.login("Ada")
			begun := time.Now()
			if test.busy {
				await(t, "half the lifetime to pass", func() bool {
					c.mustBe("Ada")
					return time.Since(begun) > test.lifetime/2
				})
			}
			s.stop()
			limit := min(test.idle, test.lifetime)
			await(t, "the limit to pass", func() bool { return time.Since(begun) > limit+time.Second/2 })
			s.start()
			c.mustBeNobody()
		})
	}
}

// ASVS 13.3.2, 16.2.5: a backup and a log log nobody in. The file knows the hash of an id only; the log knows neither.
func TestIDIsNeitherInTheFileNorInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	ended := c.session()
	c.mustBe("Ada")
	c.logout()
	c.login("Ada")
	c.get("/no-such-page")
	s.log.await(t, "the requests to be logged", func() bool { return len(s.log.requests("/no-such-page")) > 0 })
	s.restart()
	c.mustBe("Ada")
	s.stop()

	file, log := s.file(), []byte(s.log.text())
	for _, id := range []string{ended, c.session()} {
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		for what, form := range map[string][]byte{
			"as it is": []byte(id), "decoded": raw[:32], "in hex": []byte(hex.EncodeToString(raw[:32])),
			"in other base64": []byte(base64.RawStdEncoding.EncodeToString(raw[:32])), "its first half": []byte(id[:22]),
		} {
			if bytes.Contains(file, form) {
				t.Errorf("the file holds an id %s", what)
			}
			if bytes.Contains(log, form) {
				t.Errorf("the log holds an id %s", what)
			}
		}
	}
	// The scan above would find an id if it were there: it finds the hash.
	raw, _ := base64.RawURLEncoding.DecodeString(c.session())
	if !bytes.Contains(file, sum(c.session())) && !bytes.Contains(file, sum(string(raw))) {
		t.Error("the file does not hold the id's SHA-256")
	}
}

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}
