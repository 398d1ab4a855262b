package tests

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// phrase gives n letters that nobody guesses, the same at each run.
func phrase(n int, letters string) string {
	alphabet, text := []rune(letters), make([]rune, n)
	var sum [32]byte
	for i := range text {
		sum = sha256.Sum256(append(sum[:], letters...))
		text[i] = alphabet[int(sum[0])%len(alphabet)]
	}
	return string(text)
}

const (
	latin = "abcdefghijklmnopqrstuvwxyz"
	greek = "αβγδεζηθικλμνξοπρστυφχψω"
	emoji = "😀😁😂🦊🐙🌵🍄🚲🎻🪁🧭🕯"
)

// choose tries to sign up with a password, as somebody nobody has seen before.
func (s *server) choose(t *testing.T, password string) *page {
	t.Helper()
	c := s.clientFrom(s.nextNetwork())
	c.t = t
	p := c.signUp(fmt.Sprint("Somebody ", s.networks), password)
	if (p.status == http.StatusSeeOther) != (c.session() != "") {
		t.Errorf("%s: status %d, a session: %v", p, p.status, c.session() != "")
	}
	if len(password) > 10 && strings.Contains(p.body, password) {
		t.Errorf("%s: the page shows the password", p)
	}
	return p
}

// mustHelp wants a refusal that says in one sentence what to do, with the figure that counts, if one does.
func mustHelp(t *testing.T, p *page, figure string) {
	t.Helper()
	p.expect(http.StatusUnprocessableEntity)
	if have := p.alert(); !strings.Contains(have, figure) || !strings.HasSuffix(have, ".") || len(have) > 140 {
		t.Errorf("the refusal says %q", have)
	}
}

// ASVS 6.2.1, 6.2.9: 15 to 128 characters, counted as people count them: an emoji is one, and so is a letter with an
// accent that was typed in two strokes.
func TestPasswordLengths(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, letters := range map[string]string{"Latin": latin, "Greek": greek, "emoji": emoji} {
		mustHelp(t, s.choose(t, phrase(1, letters)), "15")
		mustHelp(t, s.choose(t, phrase(14, letters)), "15")
		for _, n := range []int{15, 64, 128} {
			if p := s.choose(t, phrase(n, letters)); p.status != http.StatusSeeOther {
				t.Errorf("%d of %s: status %d, %q", n, name, p.status, p.alert())
			}
		}
		mustHelp(t, s.choose(t, phrase(129, letters)), "128")
	}
	mustHelp(t, s.choose(t, ""), "")
	mustHelp(t, s.choose(t, phrase(20_000, latin)), "128")

	accents := func(n int) string { return strings.Join(strings.Split(phrase(n, "aeiouy"), ""), "\u0301") + "\u0301" }
	mustHelp(t, s.choose(t, accents(14)), "15")
	s.choose(t, accents(128)).expect(http.StatusSeeOther)
}

// The operator may ask for less, down to eight, or for more. The page says so.
func TestPasswordMinimumIsSet(t *testing.T) {
	t.Parallel()
	for _, minimum := range []int{8, 20} {
		s := newServer(t)
		s.env = []string{fmt.Sprint("PASSWORD_MIN=", minimum)}
		s.start()
		says := strconv.Itoa(minimum)
		s.client().get("/signup").shows(says)
		mustHelp(t, s.choose(t, phrase(minimum-1, latin)), says)
		s.choose(t, phrase(minimum, latin)).expect(http.StatusSeeOther)
	}
}

// ASVS 6.2.4, 6.2.11, 6.2.12: what others try first is refused, with a sentence that helps. There is no online list of
// breached passwords; common ones and patterns stand for it, see TestStrongEnough in
// app/accounts.
func TestPasswordsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "--title=The Corner Shop")
	const name = "Grace Hopper"
	before := s.file()
	for _, typed := range []string{
		"passwordpassword", "123456789012345", "qwertyuiopasdfgh",
		"GraceHopperGraceHopper", "grace hopper 2026", "reppoH ecarG 123", "gr4ce h0pp3r!!!!", "The Corner Shop!", "thecornershop123", "Grace Corner Shop",
	} {
		t.Run(typed, func(t *testing.T) {
			c := s.client()
			c.t = t
			p := c.signUp(name, typed)
			mustHelp(t, p, "")
			if strings.Contains(p.body, typed) {
				t.Error("the page shows the password")
			}
			c.mustBeNobody()
		})
	}
	if string(s.file()) != string(before) {
		t.Error("a refused password changed the file")
	}
	// The name is still free, and a good password is taken.
	s.client().signUp(name, password).expect(http.StatusSeeOther)
}

// A password is one line of text.
func TestPasswordsThatAreNoText(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, typed := range []string{password + "\x00", password + "\n", "\x1b" + password, password + "\xff", password + "\u2028x"} {
		mustHelp(t, s.choose(t, typed), "")
	}
}

// ASVS 6.2.5, 6.2.10: no rule about kinds of characters.
func TestNoRulesOfComposition(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, typed := range []string{
		phrase(15, latin), phrase(15, strings.ToUpper(latin)), phrase(20, "0123456789"), phrase(15, "!?%&/()=[]{}~#'"), phrase(15, greek), phrase(15, emoji),
		"mango violin ladder plum", " starts and ends with spaces ", "ein Wort für Größe und Übermut", "正しい馬電池ホッチキス正解青空散歩",
	} {
		if p := s.choose(t, typed); p.status != http.StatusSeeOther {
			t.Errorf("%q: status %d, %q", typed, p.status, p.alert())
		}
	}
}

// ASVS 6.2.8: a password is compared as it was typed, to its last character.
func TestPasswordsAreComparedWhole(t *testing.T) {
	t.Parallel()
	s := start(t)
	long := phrase(127, latin)
	for name, test := range map[string]struct {
		chosen string
		wrong  []string
	}{
		"Ada": {"Mango violin ladder plum", []string{"mango violin ladder plum", "Mango violin ladder pluM", "Mango violin ladder plu", "Mango violin ladder plum ", "Mango  violin ladder plum"}},
		"Bob": {long + "a", []string{long + "b", long, long[:72], strings.ToUpper(long) + "a"}}, // bcrypt would stop after 72 bytes
		"Eve": {"％ seven quiet lamps", []string{"% seven quiet lamps"}},
	} {
		s.clientFrom(s.nextNetwork()).signUp(name, test.chosen).expect(http.StatusSeeOther)
		for _, wrong := range test.wrong {
			c := s.clientFrom(s.nextNetwork())
			c.tryLogin(name, wrong).expect(http.StatusUnauthorized)
			c.mustBeNobody()
		}
		s.client().tryLogin(name, test.chosen).expect(http.StatusSeeOther)
	}
}

// ASVS 6.2.8: RFC 8265 makes one what one keyboard writes in one way and another in another: letters in two strokes,
// and spaces of any kind.
func TestPasswordsFromAnotherKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.client().signUp("Ada", "déjà vu à Genève, naïveté").expect(http.StatusSeeOther)
	for _, typed := range []string{"déjà vu à Genève, naïveté", "de\u0301ja\u0300 vu a\u0300 Gene\u0300ve, nai\u0308vete\u0301", "déjà\u00a0vu à\u3000Genève,\u2003naïveté"} {
		s.client().tryLogin("Ada", typed).expect(http.StatusSeeOther)
	}
	s.client().tryLogin("Ada", "deja vu a Geneve, naivete").expect(http.StatusUnauthorized)
}

// ASVS 6.3.8: an unknown name, a wrong password, no password and what is no name at all read the same, to the byte. A
// disabled account is like them: app/accounts and app/web show it, since nobody can disable one from outside yet.
func TestNobodyIsToldWhoExists(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	answers := map[string]*page{}
	says := ""
	for _, name := range []string{"Ada", "Bob", "A\x00a", "A\u202ea"} {
		for _, guess := range []string{"wrong", "", phrase(129, latin), "wrong\x00"} {
			// The forms of nobody are all alike but for the name that was typed.
			c := s.clientFrom(s.nextNetwork())
			p := c.tryLogin(name, guess).expect(http.StatusUnauthorized)
			if says == "" {
				says = p.alert()
			}
			if p.alert() != says || says == "" {
				t.Errorf("%q, %.10q: the refusal says %q", name, guess, p.alert())
			}
			if len(p.header.Values("Set-Cookie")) > 0 || p.header.Get("Retry-After") != "" {
				t.Errorf("%q, %.10q: the headers are %v", name, guess, p.header)
			}
			answers[name+"/"+guess] = p
			c.mustBeNobody()
		}
	}
	for of, p := range answers {
		if name, _, _ := strings.Cut(of, "/"); name == "Bob" || name == "Ada" {
			want := strings.Replace(answers["Bob/wrong"].body, `value="Bob"`, `value="`+name+`"`, 1)
			if p.body != want || p.header.Get("Content-Length") != answers["Bob/wrong"].header.Get("Content-Length") {
				t.Errorf("%q: the page is another:\n%s", of, p.body)
			}
		}
	}
}

// ASVS 6.4.2: there is no hint and no secret question: no form asks for one, and no answer says anything of the
// password that is kept, however near a guess comes.
func TestNoHints(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.login("Ada")
	code, link, stderr := command(t, nil, "user", "reset", "Ada", "--database", s.database)
	_, secret, found := strings.Cut(strings.TrimSpace(link), "/reset/")
	if code != 0 || !found {
		t.Fatalf("exit code %d: %q %s", code, link, stderr)
	}
	fields := map[string]bool{"name": true, "password": true, "next": true, "old": true, "new": true, "reauthenticate": true, "note": true, "sport": true}
	forms := 0
	for _, p := range []*page{
		s.client().get("/login"), s.client().get("/signup"), s.client().get("/reset/" + secret).expect(http.StatusOK), ada.get("/account"),
		ada.get("/registrations"),
		s.client().tryLogin("Ada", "wrong"), ada.changePassword("wrong", another), ada.deleteAccount("wrong"), s.client().signUp("Ada", password),
	} {
		for _, tag := range []string{"input", "select", "textarea"} {
			for _, field := range all(p.html(), tag) {
				if name := attribute(field, "name"); name != "" && !fields[name] {
					t.Errorf("%s asks for %q", p, name)
				}
			}
		}
		forms += len(all(p.html(), "form"))
		for _, word := range []string{"reminder", "question", "maiden", "pet", "forgot"} {
			for _, said := range strings.Fields(strings.ToLower(p.text())) {
				if strings.Trim(said, ".,:;?!") == word {
					t.Errorf("%s says %q", p, word)
				}
			}
		}
		for _, part := range strings.Fields(password) {
			if strings.Contains(p.text(), part) {
				t.Errorf("%s says %q, which is in the password", p, part)
			}
		}
	}
	if forms < 9 {
		t.Errorf("only %d forms were seen", forms)
	}
	// Near and far guesses get one answer.
	guesses := []string{"x", password[:len(password)-1], strings.ToUpper(password)}
	for what, try := range map[string]func(c *client, guess string) *page{
		"login": func(_ *client, guess string) *page {
			return s.clientFrom(s.nextNetwork()).tryLogin("Ada", guess)
		},
		"change":   func(c *client, guess string) *page { return c.changePassword(guess, another) },
		"deletion": func(c *client, guess string) *page { return c.deleteAccount(guess) },
	} {
		// Each with its own account, for failures are counted.
		c := ada
		if what != "login" {
			c = s.login("Ada of " + what)
		}
		first := ""
		for _, guess := range guesses {
			p := try(c, guess).expect(http.StatusUnauthorized)
			if first == "" {
				first = p.alert()
			}
			if p.alert() != first || first == "" {
				t.Errorf("%s: the guess %q is told %q, another %q", what, guess, p.alert(), first)
			}
		}
	}
}
