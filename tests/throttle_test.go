package tests

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// mustSayHowLong wants an answer of 429 that tells people and programs alike how long to wait, at most.
func mustSayHowLong(t *testing.T, p *page, most int) {
	t.Helper()
	p.expect(http.StatusTooManyRequests)
	seconds, err := strconv.Atoi(p.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > most {
		t.Errorf("%s: Retry-After %q", p, p.header.Get("Retry-After"))
	}
	if says := p.alert(); !strings.ContainsAny(says, "123456789") {
		t.Errorf("%s: the page says %q", p, says)
	}
	if len(p.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%s: it sets a cookie", p)
	}
}

// guess fails to log in until it is held, which must be after the fifth failure, and gives every answer.
func (c *client) guess(t *testing.T, name string) []*page {
	t.Helper()
	var answers []*page
	for i := range 5 {
		answers = append(answers, c.tryLogin(name, fmt.Sprint("wrong ", i)).expect(http.StatusUnauthorized))
	}
	held := c.tryLogin(name, "wrong again")
	mustSayHowLong(t, held, 15)
	return append(answers, held)
}

// ASVS 6.3.1, 2.4.1: after the fifth failure the pair of name and network waits, and nobody else does.
func TestGuessingIsSlowed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada Lovelace")
	s.signUp("Bob")
	thief := s.clientFrom("127.0.3.1")
	thief.guess(t, "Ada Lovelace")
	// Whoever is held does not learn that they have guessed right, however they write the name, and from next door
	// neither.
	mustSayHowLong(t, thief.tryLogin("Ada Lovelace", password), 15)
	mustSayHowLong(t, thief.tryLogin("ADA  lovelace", password), 15)
	mustSayHowLong(t, s.clientFrom("127.0.3.200").tryLogin("Ada Lovelace", password), 15)
	thief.mustBeNobody()
	// Pages still come, another name may log in from there, and the owner from elsewhere.
	thief.get("/").expect(http.StatusOK)
	thief.tryLogin("Bob", password).expect(http.StatusSeeOther)
	s.clientFrom("127.0.4.1").tryLogin("Ada Lovelace", password).expect(http.StatusSeeOther)
}

// A success ends the row of failures.
func TestFailuresBeforeASuccessAreForgotten(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	for range 3 {
		for range 4 {
			s.client().tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
		}
		s.client().tryLogin("Ada", password).expect(http.StatusSeeOther)
	}
}

// ASVS 6.3.8: names that do not exist are counted like those that do, with the same answers on the way.
func TestUnknownNamesAreCountedAlike(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	known, unknown := s.clientFrom("127.0.3.1").guess(t, "Ada"), s.clientFrom("127.0.4.1").guess(t, "Bob")
	for i, p := range known {
		other := unknown[i]
		if p.status != other.status || p.alert() != other.alert() && i < 5 || len(p.body) != len(other.body) && i < 5 {
			t.Errorf("try %d: %d %q and %d %q", i+1, p.status, p.alert(), other.status, other.alert())
		}
	}
	// Nor does waiting tell: who signs up now is held like the rest.
	s.clientFrom("127.0.5.1").signUp("Bob", password).expect(http.StatusSeeOther)
	mustSayHowLong(t, s.clientFrom("127.0.4.1").tryLogin("Bob", password), 15)
}

// ASVS 6.3.1: a browser that has logged in before is not held by other people's failures.
func TestAKnownBrowserIsNotHeld(t *testing.T) {
	t.Parallel()
	s := start(t)
	owner, eve := s.login("Ada"), s.login("Eve")
	owner.logout()
	if owner.cookies[knownCookie] == "" {
		t.Fatal("the browser is not known after a logout")
	}
	// The cookie proves nobody.
	owner.mustBeNobody()
	owner.get("/account").expect(http.StatusSeeOther)

	stranger := s.client()
	stranger.guess(t, "Ada")
	owner.tryLogin("Ada", password).expect(http.StatusSeeOther)
	owner.logout()
	mustSayHowLong(t, s.client().tryLogin("Ada", password), 15)

	// Neither a made-up cookie nor that of another account passes.
	whole := owner.cookies[knownCookie]
	for what, value := range map[string]string{
		"another's": eve.cookies[knownCookie], "made up": strings.Repeat("A", len(whole)), "cut": whole[:len(whole)-1],
		"flipped": strings.Map(func(r rune) rune { return r ^ 1 }, whole[:4]) + whole[4:], "empty": "",
	} {
		t.Run(what, func(t *testing.T) {
			c := s.client()
			c.t = t
			c.cookies[knownCookie] = value
			mustSayHowLong(t, c.tryLogin("Ada", password), 15)
		})
	}

	// Its own failures hold it, and it alone.
	owner.guess(t, "Ada")
	mustSayHowLong(t, owner.tryLogin("Ada", password), 15)
}

// ASVS 6.3.1, 2.4.1: one network gets fifty failures, whatever the names.
func TestOneNetworkGuessingManyNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	thief := s.clientFrom("127.0.3.1")
	for i := range 50 {
		thief.post("/login", map[string][]string{"name": {fmt.Sprint("Name ", i)}, "password": {"wrong"}}).expect(http.StatusUnauthorized)
	}
	mustSayHowLong(t, thief.tryLogin("Ada", password), 120)
	mustSayHowLong(t, s.clientFrom("127.0.3.77").tryLogin("Ada", password), 120)
	s.clientFrom("127.0.4.1").tryLogin("Ada", password).expect(http.StatusSeeOther)
}

// ASVS 4.1.3, 15.3.4: X-Forwarded-For from a stranger changes nothing: nobody escapes by it, and nobody can be framed.
func TestForwardedForDoesNotEscapeTheThrottle(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	for i := range 5 {
		c := s.client()
		c.header = map[string]string{"X-Forwarded-For": fmt.Sprintf("203.0.%d.9", i), "X-Real-Ip": fmt.Sprintf("203.0.%d.9", i), "Forwarded": fmt.Sprintf("for=203.0.%d.9", i)}
		c.tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
	}
	c := s.client()
	c.header = map[string]string{"X-Forwarded-For": "203.0.99.9"}
	mustSayHowLong(t, c.tryLogin("Ada", password), 15)
}

// Behind a trusted proxy each visitor is counted at their own network, and what stands further left is their own word.
func TestForwardedForFromATrustedProxyCounts(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted-proxies=127.0.0.1")
	s.signUp("Ada")
	at := func(forwarded string) *client {
		c := s.client()
		c.header = map[string]string{"X-Forwarded-For": forwarded}
		return c
	}
	for i := range 5 {
		at(fmt.Sprintf("198.51.%d.1, 203.0.113.%d", i, i)).tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
	}
	mustSayHowLong(t, at("203.0.113.200").tryLogin("Ada", password), 15)
	at("203.0.114.1").tryLogin("Ada", password).expect(http.StatusSeeOther)
	// IPv6 is counted by /64.
	for i := range 5 {
		at(fmt.Sprintf("2001:db8:1:2::%d", i)).tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
	}
	mustSayHowLong(t, at("2001:db8:1:2:ffff::1").tryLogin("Ada", password), 15)
	at("2001:db8:1:3::1").tryLogin("Ada", password).expect(http.StatusSeeOther)
}
