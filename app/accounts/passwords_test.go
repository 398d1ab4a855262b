package accounts

import (
	"errors"
	"strings"
	"testing"
)

const goodPassword = "green bicycles sing at noon"

// ASVS 6.2.1, 6.2.5, 6.2.9, 6.2.11.
func TestPasswordRules(t *testing.T) {
	name, err := ParseName("Tjorven Wyklocz")
	if err != nil {
		t.Fatal(err)
	}
	rules := passwords{min: 15, title: "Ye Olde Velodrome"}
	const random = "xqzvbmtrwplkjhdfs"
	for _, test := range []struct{ typed, refusal string }{
		{goodPassword, ""},
		{random[:15], ""},
		{random[:14], "The password is too short: 15 characters at least."},
		{"", "Please type a password."},
		{"日本語のパスワードは長い方がい", ""}, // 15 code points, 45 bytes
		{"日本語のパスワードは長い方が", "The password is too short: 15 characters at least."},
		{strings.Repeat(random, 8)[:128], ""},
		{strings.Repeat(random, 8)[:129], "The password is too long: 128 characters at most."},
		{strings.Repeat("x", 1<<20), "The password is too long: 128 characters at most."},
		{random + "\x00", "The password has a character that a password cannot have."},
		{random + "\n", "The password has a character that a password cannot have."},
		{random + "\u202e", "The password has a character that a password cannot have."},
		{random + "\xff", "The password is not valid text."},
		{random + " 🚲", ""},
		{"               ", "The password is too easy to guess. Please take a few words that have nothing to do with each other."},
		{"passwordpassword", "The password is too easy to guess. Please take a few words that have nothing to do with each other."},
		{"Tjorven Wyklocz", "The password is made of the name or of this site's title. Please take other words."},
		{"tjorvenwyklocz1", "The password is made of the name or of this site's title. Please take other words."},
		{"zcolkyw-nevrojt!", "The password is made of the name or of this site's title. Please take other words."},
		{"wyk10cz-yeoldevelodrome", "The password is made of the name or of this site's title. Please take other words."},
		{"Velodrome99 velodrome99", "The password is made of the name or of this site's title. Please take other words."},
	} {
		password, err := rules.check(test.typed, name)
		var refusal *Error
		switch {
		case test.refusal == "" && (err != nil || password == ""):
			t.Errorf("%.40q: %q, %v, want none", test.typed, password, err)
		case test.refusal != "" && (!errors.As(err, &refusal) || refusal.Kind != Invalid || refusal.Message != test.refusal || password != ""):
			t.Errorf("%.40q: %v, want %q", test.typed, err, test.refusal)
		}
	}
	if _, err := (passwords{min: 8}).check("gtmxkwqz", name); err != nil {
		t.Errorf("8 characters where that is enough: %v", err)
	}
}

// RFC 8265 section 4.2. ASVS 6.2.8: nothing else is altered.
func TestNormalise(t *testing.T) {
	for typed, want := range map[string]string{
		"pa\u030assword":     "påssword",
		"a\u00a0b\u3000c":    "a b c",
		"  a  b  ":           "  a  b  ",
		"PassWord":           "PassWord",
		"Ａ":                  "Ａ",
		"ﬁ":                  "ﬁ",
		"\u0065\u0301\u00e9": "éé",
	} {
		if got, err := normalise(typed); err != nil || got != want {
			t.Errorf("normalise(%q): %q, %v, want %q", typed, got, err, want)
		}
	}
	if _, err := normalise(strings.Repeat("a\u030a", MaxPassword)); err != nil {
		t.Errorf("128 characters that were typed as 256: %v", err)
	}
}
