package web

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

// Whoever's session, or account, cannot be read is nobody, on every page, and the
// browser forgets the session. The log says so once for each request, others are
// not touched, and the check of the file finds it.
//
// ASVS 16.5.3
func TestDamagedSession(t *testing.T) {
	for _, bucket := range []string{"sessions", "accounts"} {
		t.Run(bucket, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.accounts.SetAdmin(t.Context(), w.ids["owner"], true)) // its powers must not outlive it either
			id := w.ids["owner"]
			key := id[:]
			if bucket == "sessions" {
				_, cookie, _ := strings.Cut(w.cookies["owner"], "=")
				k := sessions.KeyOf(cookie)
				key = k[:]
			}
			w.must(w.db.Bolt().Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucket))
				value := bytes.Clone(b.Get(key))
				value[len(value)-1] ^= 1
				return b.Put(key, value)
			}))
			before := w.file()
			for request, want := range map[string]string{
				"GET /":                "200",
				"GET /login":           "200",
				"GET /logout":          "200",
				"GET /account":         "303 /login?next=" + url.QueryEscape("/account"),
				"GET /reauthenticate":  "303 /login?next=" + url.QueryEscape("/reauthenticate"),
				"GET /admin":           "404",
				"GET /nothing":         "404",
				"POST /account/delete": "401",
			} {
				logged := len(w.lines.String())
				method, path, _ := strings.Cut(request, " ")
				got := w.send("owner", method, path, "password="+url.QueryEscape(password))
				if got.String() != want || strings.Contains(got.body, "owner") || strings.Contains(got.body, "administrator") {
					t.Errorf("%s: %s, want %s\n%s", request, got, want, got.body)
				}
				if cookies := strings.Join(got.header.Values("Set-Cookie"), "\n"); !strings.HasPrefix(cookies, "__Host-session=; ") || strings.Contains(cookies, "\n") {
					t.Errorf("%s sets %q", request, cookies)
				}
				line := w.lines.String()[logged:]
				if strings.Count(line, "\n") != 1 || !strings.Contains(line, `"level":"ERROR"`) || strings.Count(line, "database is damaged") != 1 {
					t.Errorf("%s: the log has %s", request, line)
				}
			}
			if w.file() != before {
				t.Error("the file has changed")
			}
			files, err := w.public()
			w.must(err)
			if got := w.get("owner", files.URL("site.css")); got.status != 200 || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("a file: %s", got)
			}
			for _, other := range []string{"another", "administrator"} {
				if got := w.get(other, "/"); marked(got.body) != other || len(got.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s: %s\n%s", other, got, got.body)
				}
			}

			// A new login works if the account is whole, and opens nothing if not.
			delete(w.cookies, "owner")
			got := w.post("owner", "/login", "name=owner&password="+url.QueryEscape(password))
			want := map[string]string{"sessions": "303 /", "accounts": "500"}[bucket]
			if got.String() != want || (got.cookie != "") != (bucket == "sessions") {
				t.Fatalf("login: %s, want %s, cookie %q", got, want, got.cookie)
			}
			if w.cookies["owner"] = got.cookie; bucket == "sessions" {
				if got := w.get("owner", "/account"); got.status != 200 {
					t.Errorf("the account page: %s", got)
				}
			}

			path := w.db.Bolt().Path()
			w.must(w.db.Close())
			if r, err := bolt.File(path).Check(t.Context(), nil); err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), fmt.Sprintf("%s, %x: ", bucket, key)) {
				t.Errorf("the check: %q, %v", r.Problems, err)
			}
		})
	}
}
