package tests

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ASVS 16.2.1, 16.2.2, 16.2.4: one JSON record for each request, with when (UTC), what, from where and with what end.
func TestEachRequestIsOneRecord(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	c := s.client()
	c.get("/")
	c.get("/no-such-page?secret=hidden")
	c.login("Ada")
	c.logout()
	c.post("/login", url.Values{"name": {""}})
	const sent = 1 + 1 + 3 + 2 + 1
	requests := func() int {
		n := 0
		for _, r := range s.log.records() {
			if r["msg"] == "request" && r["path"] != "/signup" {
				n++
			}
		}
		return n
	}
	s.log.await(t, "the requests to be logged", func() bool { return requests() >= sent })
	s.stop()
	if n := requests(); n != sent {
		t.Errorf("%d records for %d requests", n, sent)
	}
	for _, line := range s.log.lines() {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("not JSON: %q", line)
			continue
		}
		when, err := time.Parse(time.RFC3339Nano, asText(record["time"]))
		if err != nil || time.Since(when).Abs() > time.Hour {
			t.Errorf("the time is %v", record["time"])
		}
		if _, offset := when.Zone(); offset != 0 {
			t.Errorf("the time %v is not UTC", record["time"])
		}
		if record["msg"] != "request" || record["path"] == "/signup" {
			continue
		}
		for _, key := range []string{"method", "path", "status", "duration", "ip"} {
			if _, ok := record[key]; !ok {
				t.Errorf("the record has no %s: %s", key, line)
			}
		}
		if record["ip"] != "127.0.0.1" {
			t.Errorf("ip %v", record["ip"])
		}
	}
	if found := s.log.requests("/no-such-page"); len(found) != 1 || found[0]["status"] != "404" || found[0]["method"] != "GET" {
		t.Errorf("the record is %v", found)
	}
	// ASVS 14.2.1, 16.2.5: an address may hold what was meant for one page only.
	if strings.Contains(s.log.text(), "hidden") {
		t.Error("the log holds a query")
	}
}

func asText(v any) string { text, _ := v.(string); return text }

// ASVS 16.4.1: whatever a visitor sends, one request stays one line, and no line is the visitor's own.
func TestLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("x")
	c := s.client()
	const forged = `{"time":"2026-01-01T00:00:00Z","level":"ERROR","msg":"forged"}`
	before := s.log.len()
	c.get("/x%0A" + url.PathEscape(forged) + "%0A")
	c.get("/x%0D%0A" + url.PathEscape(forged) + "%0D%0A")
	c.get("/x%E2%80%A8" + url.PathEscape(forged) + "%C2%85%1B%5B31m%00")
	c.get("/x%22%7D%7B%22msg%22:%22forged%22")
	for _, path := range []string{"/login", "/signup"} {
		c.post(path, url.Values{"name": {"x\n" + forged}, "password": {"x\n" + forged}})
	}
	c.post("/login", url.Values{"name": {"x"}, "password": {password}, "next": {"/\n" + forged}}).expect(http.StatusSeeOther)
	for _, header := range []string{"User-Agent", "Referer", "Accept-Language", "X-Request-Id", "X-Forwarded-For"} {
		c.send(request{method: http.MethodGet, path: "/", header: map[string]string{header: "x\t" + forged}})
	}
	s.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\n"+forged+"\n\r\nConnection: close\r\n\r\n")
	s.raw(t, "GET / HTTP/1.1\r\nHost: "+forged+"\r\nConnection: close\r\n\r\n")
	s.raw(t, "GET /\x1b[31m\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	s.raw(t, forged+"\r\n\r\n")
	s.stop()
	for _, line := range s.log.lines()[before:] {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("not JSON: %q", line)
		}
		if record["msg"] == "forged" {
			t.Errorf("a forged record: %s", line)
		}
		if strings.ContainsAny(line, "\r\x1b\x00\u0085\u2028") {
			t.Errorf("a control character in %q", line)
		}
		if strings.HasPrefix(line, forged) {
			t.Errorf("a forged line: %q", line)
		}
	}
}

// ASVS 16.2.5, 14.2.4: what was typed, sent as a cookie or put into a header is not in the log.
func TestTheLogKeepsNoSecrets(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	const canary = "canary-3141592653589793"
	c.send(request{method: http.MethodGet, path: "/?token=" + canary, header: map[string]string{"Authorization": "Bearer " + canary, "X-Api-Key": canary}})
	c.post("/login", url.Values{"name": {""}, "password": {canary}})
	thief := s.client()
	thief.cookies[sessionCookie] = canary
	thief.mustBeNobody()
	s.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nCookie: "+sessionCookie+"="+canary+"\r\nContent-Length: x\r\n\r\n")
	s.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nCookie: "+sessionCookie+"="+canary+"\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	s.raw(t, "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nname="+canary+"\r\n0\r\n\r\n")
	s.stop()
	for _, secret := range []string{canary, c.session(), canary[:10]} {
		if strings.Contains(s.log.text(), secret) {
			t.Errorf("the log holds %.10s…", secret)
		}
		if strings.Contains(string(s.file()), secret) {
			t.Errorf("the file holds %.10s…", secret)
		}
	}
}

// Under --dev the log is for a person's eyes.
func TestLogOfDev(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	s.client().get("/no-such-page")
	s.log.await(t, "the request to be logged", func() bool { return len(s.log.requests("/no-such-page")) == 1 })
	for _, line := range s.log.lines() {
		if json.Valid([]byte(line)) {
			t.Errorf("JSON under --dev: %s", line)
		}
	}
}

// ASVS 16.2.3: the log goes where SECURITY.md says: to standard error, and nowhere else.
func TestTheLogGoesToStandardErrorOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var stdout bytes.Buffer
	s.stdout = &stdout
	s.start()
	s.client().get("/no-such-page")
	s.login("Ada").logout()
	s.client().tryLogin("Ada", "wrong")
	s.stop()
	if len(s.log.requests("/no-such-page")) != 1 || len(s.log.events(t)) < 3 {
		t.Errorf("the log on standard error is not whole:\n%s", s.log.text())
	}
	if stdout.Len() > 0 {
		t.Errorf("standard output has %q", stdout.String())
	}
	err := filepath.WalkDir(filepath.Dir(s.dir), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path != s.database {
			t.Errorf("there is a file %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(s.file()), "/no-such-page") {
		t.Error("the database holds a line of the log")
	}
}
