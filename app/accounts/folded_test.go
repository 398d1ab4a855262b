package accounts_test

import (
	"strings"
	"testing"

	"golang.org/x/text/secure/precis"

	"latchkey/app/accounts"
)

func TestStoredName(t *testing.T) {
	name, err := accounts.ParseName("Åsa  B")
	if err != nil {
		t.Fatal(err)
	}
	if again := accounts.StoredName(name.String(), name.Folded()); again != name {
		t.Errorf("%#v, want %#v", again, name)
	}
}

// Equal names have the same folded form; different names do not.
func FuzzFolded(f *testing.F) {
	for _, pair := range [][2]string{
		{"Alice", "ALICE"}, {"alice", "alise"}, {"Å", "A\u030a"}, {"a b", "a  b"}, {"ß", "ss"}, {"ς", "σ"}, {"İ", "i"}, {"\u212a", "k"}, {"ａ", "A"},
	} {
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
		if strings.HasPrefix(one.Folded(), " ") || len(one.Folded()) > 1024 {
			t.Errorf("%q is folded to %q: what is no name begins with a space, and no name is so long", a, one.Folded())
		}
		if got, want := one.Folded() == other.Folded(), precis.Nickname.Compare(one.String(), other.String()); got != want {
			t.Errorf("%q and %q: one name %t, want %t", a, b, got, want)
		}
	})
}
