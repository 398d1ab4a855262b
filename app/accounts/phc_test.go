package accounts

import (
	"strings"
	"testing"
)

var smallCost = Cost{Memory: 64, Passes: 1, Lanes: 1}

const goodPHC = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// ASVS 11.4.2.
func TestPHC(t *testing.T) {
	h := newPHC("correct horse", smallCost)
	if h == newPHC("correct horse", smallCost) {
		t.Error("two hashes of one password are equal: no salt")
	}
	read, err := parsePHC(h.String())
	if err != nil || read != h {
		t.Fatalf("parsePHC(%s): %v, %v", h, read, err)
	}
	if !read.matches("correct horse") {
		t.Error("the password does not fit")
	}
	// ASVS 6.2.8: the whole password is compared, case-sensitively.
	for _, wrong := range []string{"", "correct hors", "correct horsf", "Correct horse", "correct horse ", "correct horse\x00"} {
		if read.matches(wrong) {
			t.Errorf("%q fits", wrong)
		}
	}
	if got := DefaultCost(); got.Memory < 19*1024 || got.Passes < 2 || got.Lanes != 1 {
		t.Errorf("DefaultCost %+v is below ASVS appendix C", got)
	}
	if dummyPHC(smallCost).matches("") {
		t.Error("a password fits the dummy")
	}
}

// ASVS 11.2.2.
func TestPHCWeakerThan(t *testing.T) {
	h := phc{cost: Cost{Memory: 100, Passes: 2, Lanes: 1}}
	for cost, want := range map[Cost]bool{
		{100, 2, 1}: false, {99, 1, 1}: false, {101, 2, 1}: true, {100, 3, 1}: true, {101, 1, 1}: true,
	} {
		if got := h.weakerThan(cost); got != want {
			t.Errorf("below %+v: %t, want %t", cost, got, want)
		}
	}
}

// ASVS 11.2.5: a malformed hash matches nothing. ASVS 1.4.2: a number out of
// range is rejected, not truncated.
func TestParsePHCRefuses(t *testing.T) {
	if _, err := parsePHC(goodPHC); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"argon2id", "argon2i"}, {"argon2id", "argon2d"}, {"argon2id", "bcrypt"}, {"v=19", "v=16"}, {"v=19", "v=019"}, {"v=19$", ""},
		{"m=64", "m=7"}, {"m=64", "m=0"}, {"m=64", "m=-64"}, {"m=64", "m=+64"}, {"m=64", "m=064"}, {"m=64", "m="}, {"m=64", "m=64 "},
		{"m=64", "m=131073"}, {"m=64", "m=4294967295"}, {"m=64", "m=4294967360"}, {"m=64", "m=99999999999999999999"},
		{"t=1", "t=0"}, {"t=1", "t=11"}, {"t=1", "t=4294967297"}, {"p=1", "p=0"}, {"p=1", "p=5"}, {"p=1", "p=257"},
		{"m=64,t=1", "t=1,m=64"}, {",p=1", ""}, {",p=1", ",p=1,x=1"}, {"p=1", "p=1,p=1"}, {"m=64", "m=8,p=4"},
		{"$AAAA", "$AAA"}, {"$AAAA", "$AAAAA"}, {"$AAAA", "$A\nAAA"}, {"$AAAA", "$A-AA"}, {"A$A", "B$A"}, {"A$A", "=$A"},
		{"$argon2id", "argon2id"}, {"$argon2id", "$$argon2id"}, {"$argon2id", " $argon2id"},
	} {
		s := strings.Replace(goodPHC, change[0], change[1], 1)
		if h, err := parsePHC(s); err == nil || h != (phc{}) || s == goodPHC {
			t.Errorf("parsePHC(%q): %v, %v, want an error", s, h, err)
		}
	}
	for _, s := range []string{"", "$", "$$$$$", goodPHC + "$", goodPHC + "\n", goodPHC + "A", goodPHC[:len(goodPHC)-1], goodPHC[:len(goodPHC)-1] + "B", strings.Repeat("$", 1000), strings.Repeat("A", 1<<20)} {
		if _, err := parsePHC(s); err == nil {
			t.Errorf("parsePHC(%.40q): no error", s)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(goodPHC)
	f.Add(newPHC("password", smallCost).String())
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$dGFn")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.String() != s {
			t.Errorf("%q is read as %q", s, h)
		}
		if c := h.cost; c.Memory > 128*1024 || c.Memory < 8*uint32(c.Lanes) || c.Passes < 1 || c.Passes > 10 || c.Lanes < 1 || c.Lanes > 4 {
			t.Errorf("%q: cost %+v is out of bounds", s, c)
		}
	})
}
