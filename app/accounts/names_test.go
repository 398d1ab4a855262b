package accounts_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"latchkey/app/accounts"
)

// ASVS 2.2.1
func TestParseName(t *testing.T) {
	for _, test := range []struct{ typed, shown, folded string }{
		{"Ann", "Ann", "ann"},
		{"a", "a", "a"},
		{"  Ann \t\n", "Ann", "ann"},
		{"\u3000Ann\u00a0", "Ann", "ann"},
		{"Ann Lee", "Ann Lee", "ann lee"},
		{"Ann   Lee", "Ann   Lee", "ann lee"},
		{"ann@example.com", "ann@example.com", "ann@example.com"},
		{`<script>alert("1'")</script>`, `<script>alert("1'")</script>`, `<script>alert("1'")</script>`},
		{"Žofie", "Žofie", "žofie"},
		{"李雷", "李雷", "李雷"},
		{"ПЁТР", "ПЁТР", "пётр"},
		{"😀", "😀", "😀"},
		{"👍🏽", "👍🏽", "👍🏽"},
		{strings.Repeat("x", 64), strings.Repeat("x", 64), strings.Repeat("x", 64)},
		{strings.Repeat("😀", 64), strings.Repeat("😀", 64), strings.Repeat("😀", 64)}, // code points, not bytes
		{"  " + strings.Repeat("x", 64) + "  ", strings.Repeat("x", 64), strings.Repeat("x", 64)},
	} {
		name, err := accounts.ParseName(test.typed)
		if err != nil || name.String() != test.shown || name.Folded() != test.folded {
			t.Errorf("%q is shown as %q and compared as %q, %v", test.typed, name.String(), name.Folded(), err)
		}
	}
}

// ASVS 2.2.1, 16.4.1
func TestParseNameRefuses(t *testing.T) {
	const long, characters, empty, invalid = "too long", "cannot have", "type a name", "not valid text"
	for _, test := range []struct{ typed, says string }{
		{"", empty},
		{" ", empty},
		{" \t\r\n\u00a0\u3000 ", empty},
		{strings.Repeat("x", 65), long},
		{strings.Repeat("😀", 65), long},
		{strings.Repeat("x", 1025), long},
		{strings.Repeat("x", 10<<20), long},
		{strings.Repeat(" ", 10<<20), long},
		{strings.Repeat("\xff", 10<<20), long},
		{strings.Repeat("\ufdfa", 64), long}, // each becomes 18 code points

		{"\xff", invalid},
		{"Ann\xc3", invalid},
		{"Ann\xc0\xaf", invalid},     // overlong
		{"Ann\xed\xa0\x80", invalid}, // half of a surrogate pair

		{"Ann\x00", characters},
		{"Ann\nLee", characters},
		{"Ann\r\nlevel=ERROR", characters},
		{"Ann\tLee", characters},
		{"Ann\x1b[31m", characters},
		{"Ann\x7f", characters},
		{"Ann\u0085Lee", characters}, // next line
		{"Ann\u2028Lee", characters}, // line separator
		{"Ann\u2029Lee", characters},
		{"Ann\u202eeeL", characters}, // right-to-left override
		{"Ann\u2066Lee", characters},
		{"Ann\u200fLee", characters},
		{"\u200eAnn", characters},
		{"Ann\u200b", characters}, // invisible
		{"Ann\ufeff", characters},
		{"Ann\u2060Lee", characters},
		{"Ann\u00ad", characters},
		{"\u200d", characters},
		{"👩\u200d🚀", characters}, // RFC 8266 allows joiners in some scripts only
		{"Ann\ufe0f", characters},
		{"Ann\U000e0041", characters}, // tags, once used to hide text
		{"Ann\ue000", characters},     // private use
		{"Ann\ufdd0", characters},     // noncharacter
		{"Ann\u0378", characters},     // unassigned
		{"\u3164", characters},        // blank, but not a space
		{"\u115f", characters},
	} {
		name, err := accounts.ParseName(test.typed)
		show := test.typed[:min(len(test.typed), 20)]
		var refusal *accounts.Error
		if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || !strings.Contains(refusal.Message, test.says) || refusal.RetryAfter != 0 {
			t.Errorf("%q: %v, want %q", show, err, test.says)
			continue
		}
		if name != (accounts.Name{}) {
			t.Errorf("%q is refused and is %q", show, name)
		}
		if trimmed := strings.TrimSpace(show); len(trimmed) > 3 && strings.Contains(refusal.Message, trimmed) {
			t.Errorf("%q is repeated in the message %q", show, refusal.Message)
		}
	}
}

// Names that differ only in case, width or composition are equal.
func TestFolding(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"Ann", "ann", true},
		{"ANN", "ann", true},
		{"Ann", " Ann ", true},
		{"Ann Lee", "Ann  Lee", true},
		{"Ann Lee", "Ann\u00a0Lee", true},
		{"é", "e\u0301", true},      // composed or not
		{"Ａｎｎ", "ann", true},        // fullwidth
		{"ﬁ", "fi", true},           // ligature
		{"K", "k", true},            // Kelvin sign
		{"Å", "å", true},            // Ångström sign
		{"①", "1", true},            // NFKC
		{"x²", "x2", true},          // NFKC
		{"Ⅷ", "viii", true},         // NFKC
		{"ｶﾞ", "ガ", true},           // halfwidth
		{"Ann", "Anne", false},      //
		{"Ann", "An n", false},      //
		{"Ann", "Аnn", false},       // Cyrillic: a different letter
		{"e", "é", false},           //
		{"Ann", "Ann.", false},      //
		{"straße", "strase", false}, //
	} {
		a, err := accounts.ParseName(test.a)
		if err != nil {
			t.Fatalf("%q: %v", test.a, err)
		}
		b, err := accounts.ParseName(test.b)
		if err != nil {
			t.Fatalf("%q: %v", test.b, err)
		}
		if (a.Folded() == b.Folded()) != test.same {
			t.Errorf("%q and %q are compared as %q and %q", test.a, test.b, a.Folded(), b.Folded())
		}
	}
}

// For any input, ParseName does not panic, and an accepted name obeys every
// rule.
func FuzzParseName(f *testing.F) {
	for _, typed := range []string{
		"", "Ann", " Ann  Lee ", "\xff", "Ann\n", "Ann\u202e", "👩\u200d🚀", "\ufdfa", "ﬁ", "İ", "ẞ", "ΑΣ", "e\u0301", "\u1e9e\u0345", "⑴", "㍱", "K", "Ａ\u3000Ｂ",
		strings.Repeat("x", 65), "\u00a0", "\u0640", "ǅ", "\u2126", "ſ", "\u0345", "\u1fb3",
	} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		name, err := accounts.ParseName(typed)
		if err != nil {
			var refusal *accounts.Error
			if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || name != (accounts.Name{}) {
				t.Errorf("%q: %q, %v", typed, name, err)
			}
			return
		}
		shown, folded := name.String(), name.Folded()
		if n := utf8.RuneCountInString(shown); n < 1 || n > accounts.MaxName || !utf8.ValidString(shown) {
			t.Errorf("%q has %d code points", shown, n)
		}
		if !strings.Contains(typed, shown) || strings.TrimSpace(shown) != shown {
			t.Errorf("%q is shown as %q", typed, shown)
		}
		if n := utf8.RuneCountInString(folded); n < 1 || n > 4*accounts.MaxName || !utf8.ValidString(folded) {
			t.Errorf("%q is compared as %q", shown, folded)
		}
		for _, r := range shown + folded {
			if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp) {
				t.Errorf("%q has the character %U", shown, r)
			}
		}
		again, err := accounts.ParseName(shown)
		if err != nil || again != name {
			t.Errorf("%q read again is %q, %v", shown, again, err)
		}
		// Otherwise one account could have two keys.
		if utf8.RuneCountInString(folded) > accounts.MaxName {
			return // not a valid name
		}
		again, err = accounts.ParseName(folded)
		if err != nil || again.Folded() != folded {
			t.Errorf("%q is compared as %q, and that as %q, %v", shown, folded, again.Folded(), err)
		}
	})
}
