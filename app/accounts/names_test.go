package accounts_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"latchkey/app/accounts"
)

// ASVS 2.2.1, 2.2.2.
func TestParseName(t *testing.T) {
	for _, test := range []struct{ typed, name, folded string }{
		{"Alice", "Alice", "alice"},
		{" \tAlice  Cooper\r\n", "Alice  Cooper", "alice cooper"},
		{"ÅSA", "ÅSA", "åsa"},
		{"A\u030asa", "A\u030asa", "åsa"},
		{"Ａｌｉｃｅ", "Ａｌｉｃｅ", "alice"},
		{"Straße", "Straße", "straße"}, // not strasse: RFC 8266 lowers, it does not fold
		{"x", "x", "x"},
		{strings.Repeat("ö", 64), strings.Repeat("ö", 64), strings.Repeat("ö", 64)},
	} {
		name, err := accounts.ParseName(test.typed)
		if err != nil || name.String() != test.name || name.Folded() != test.folded {
			t.Errorf("ParseName(%q): %q, %q, %v, want %q, %q", test.typed, name, name.Folded(), err, test.name, test.folded)
		}
	}
	for _, typed := range []string{
		"", " ", "\t\n", "\u3000", // nothing
		"a\x00b", "a\nb", "a\tb", "a\x7fb", "a\u0085b", // control characters
		"a\u200bb", "a\u2060b", "a\ufeffb", "a\u00adb", "\u3164", // invisible
		"a\u202eb", "a\u2066b", "\u200fabc", // turn the direction
		"a\xffb", "\xc0\xaf", "\xed\xa0\x80", // not UTF-8
		"a\ue000b", "a\uffffb", // private use, not a character
		strings.Repeat("a", 65), strings.Repeat("x", 1<<20), strings.Repeat("ﷺ", 64),
	} {
		name, err := accounts.ParseName(typed)
		var refusal *accounts.Error
		if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || name != (accounts.Name{}) {
			t.Errorf("ParseName(%.20q): %q, %v, want a refusal", typed, name, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"Alice", " a  b ", "ÅSA", "Σίσυφος", "İstanbul", "ﷺ", "a\u200cb", "ſ\u212a\u2126", "\u0345a", "가"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		name, err := accounts.ParseName(typed)
		if err != nil {
			var refusal *accounts.Error
			if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || refusal.Message == "" {
				t.Fatalf("ParseName(%q): %v is no refusal", typed, err)
			}
			return
		}
		s, folded := name.String(), name.Folded()
		if n := utf8.RuneCountInString(s); n < 1 || n > accounts.MaxName || !utf8.ValidString(s) || s != strings.TrimSpace(s) {
			t.Errorf("name %q from %q", s, typed)
		}
		if folded == "" || len(folded) > 16*accounts.MaxName || strings.TrimSpace(folded) != folded || strings.Contains(folded, "  ") {
			t.Errorf("folded %q from %q", folded, typed)
		}
		for _, r := range s + folded {
			if unicode.IsControl(r) || r == utf8.RuneError && !strings.ContainsRune(typed, r) {
				t.Errorf("name %q has %U", s, r)
			}
		}
		for _, form := range []string{s, folded, "  " + s + "\n"} {
			again, err := accounts.ParseName(form)
			if len([]rune(form)) > accounts.MaxName {
				continue // folding may lengthen
			}
			if err != nil || again.Folded() != folded {
				t.Errorf("ParseName(%q) gives %q, %v; ParseName(%q) gave %q", form, again.Folded(), err, typed, folded)
			}
		}
	})
}

func FuzzFolded(f *testing.F) {
	for _, pair := range [][2]string{{"Alice", "ALICE"}, {"alice", "alise"}, {"Å", "A\u030a"}, {"a b", "a  b"}, {"ß", "ss"}, {"ς", "σ"}, {"İ", "i"}, {"K", "k"}, {"ａ", "A"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, err := accounts.ParseName(a)
		if err != nil {
			return
		}
		other, err := accounts.ParseName(b)
		if err != nil {
			return
		}
		if got, want := one.Folded() == other.Folded(), precis.Nickname.Compare(one.String(), other.String()); got != want {
			t.Errorf("%q and %q: one name %t, want %t", a, b, got, want)
		}
	})
}
