package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey/app/internal/text"
)

func TestClean(t *testing.T) {
	for _, test := range []struct {
		in   string
		max  int
		want string
	}{
		{"", 10, ""},
		{"plain", 10, "plain"},
		{"plain", 5, "plain"},
		{"plain", 4, "plai"},
		{"plain", 0, ""},
		{"Zoë", 4, "Zoë"},
		{"Zoë", 3, "Zo"}, // ë has two bytes
		{"山田", 5, "山"},
		{"😀", 3, ""},
		{"a\x00b", 10, "a\uFFFDb"},
		{"\x00\x00", 10, "\uFFFD\uFFFD"},
		{"a\xff\xfeb", 10, "a\uFFFDb"}, // a run of invalid bytes becomes one
		{"\xff", 2, ""},                // the replacement itself does not fit
		{"ab\xe5", 10, "ab\uFFFD"},     // a character cut short
		{"\uFFFD", 3, "\uFFFD"},
	} {
		if got := text.Clean(test.in, test.max); got != test.want {
			t.Errorf("Clean(%q, %d) = %q, want %q", test.in, test.max, got, test.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b\xffc", 3)
	f.Add(strings.Repeat("é", 200), 255)
	f.Fuzz(func(t *testing.T, s string, max int) {
		max = min(max&0xffff, 4096)
		got := text.Clean(s, max)
		if len(got) > max || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("Clean(%q, %d) = %q", s, max, got)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, got) {
			t.Errorf("Clean(%q, %d) = %q changes valid text", s, max, got)
		}
		if again := text.Clean(got, max); again != got {
			t.Errorf("Clean(%q, %d) = %q, then %q", s, max, got, again)
		}
	})
}

func TestLines(t *testing.T) {
	for typed, want := range map[string]string{
		"":                          "",
		" \r\n\t ":                  "",
		" a\r\nb\rc\nd\n\ne\tf \n":  "a\nb\nc\nd\n\ne\tf",
		"a\x00b\x1b[31m\x7f\u0085c": "a\uFFFDb\uFFFD[31m\uFFFD\uFFFDc",
		"a\xffb\xed\xa0\x80":        "a\uFFFDb\uFFFD",
		"<b>&amp; é🏀":               "<b>&amp; é🏀",
	} {
		if got := text.Lines(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
