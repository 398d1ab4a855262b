package config_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey/config"
)

func TestCommands(t *testing.T) {
	clear(t)
	for _, test := range []struct {
		args string
		want any
		json bool
	}{
		{"", config.Serve{}, false},
		{"serve", config.Serve{}, false},
		{"--addr 127.0.0.1:0", config.Serve{}, false},
		{"check", config.Check{}, false},
		{"check --json", config.Check{JSON: true}, true},
		{"user add Ann", config.UserAdd{Name: "Ann"}, false},
		{"user add Ann --link --admin --json", config.UserAdd{Name: "Ann", Admin: true, Link: true}, true},
		{"user add --link -- --link", config.UserAdd{Name: "--link", Link: true}, false},
		{"user list", config.UserList{}, false},
		{"user list --search an --json", config.UserList{Search: "an"}, true},
		{"user --json list", config.UserList{}, true},
		{"user show Ann", config.UserShow{Name: "Ann"}, false},
		{"user admin Ann", config.UserAdmin{Name: "Ann"}, false},
		{"user admin --off Ann", config.UserAdmin{Name: "Ann", Off: true}, false},
		{"user disable Ann", config.UserDisable{Name: "Ann"}, false},
		{"user disable Ann --off", config.UserDisable{Name: "Ann", Off: true}, false},
		{"user reset Ann", config.UserReset{Name: "Ann"}, false},
		{"user logout Ann", config.UserLogout{Name: "Ann"}, false},
		{"user remove Ann", config.UserRemove{Name: "Ann"}, false},
		{"user remove Ann --yes", config.UserRemove{Name: "Ann", Yes: true}, false},
	} {
		args := strings.Fields(test.args)
		// The database may be named wherever a flag may stand.
		for i, args := range [][]string{args, append([]string{"--database", "x.db"}, args...)} {
			c, err := config.Parse(args, io.Discard)
			if err != nil {
				t.Errorf("%q: %v", args, err)
				continue
			}
			if c.Do != test.want || c.JSON != test.json {
				t.Errorf("%q gives %#v, JSON %v", args, c.Do, c.JSON)
			}
			if want := []string{"data/latchkey.db", "x.db"}[i]; c.Database != want {
				t.Errorf("%q is about %s", args, c.Database)
			}
		}
	}
	c, err := config.Parse([]string{"user", "show", "Ann Smith", "--database=y.db"}, io.Discard)
	if err != nil || c.Do != (config.UserShow{Name: "Ann Smith"}) || c.Database != "y.db" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWrongCommands(t *testing.T) {
	clear(t)
	for _, args := range []string{
		"user", "users", "check it", "check --yes", "user add", "user show", "user admin", "user disable", "user reset", "user logout", "user remove", "user nonsense",
		"user add Ann Bob", "user list Ann", "user add Ann --off", "user show Ann --yes", "user list --search", "user add Ann --password secret",
		"--json", "serve --json", "add Ann", "user add Ann --link=maybe", "user add Ann --addr nowhere",
	} {
		c, err := config.Parse(strings.Fields(args), io.Discard)
		if err == nil || errors.Is(err, config.ErrHelp) || strings.Contains(err.Error(), "\n") || c.Do != nil {
			t.Errorf("%q gives %+v, %v", args, c, err)
		}
	}
}

// What was typed comes back in errors, but not to steer the terminal.
func TestErrorsAreHarmless(t *testing.T) {
	clear(t)
	for _, typed := range []string{"a\x1b[2Jb", "a\nb", "a\rb", "a\u0085b", "a\u202eb", "a\x00b", "a\xffb"} {
		for _, args := range [][]string{{typed}, {"--" + typed}, {"user", typed}, {"user", "add", "Ann", typed}, {"--dev=" + typed}, {"--addr", typed}, {"--title", typed + "\n"}} {
			_, err := config.Parse(args, io.Discard)
			if err == nil || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x1b\n\r\x00\u0085\u202e") {
				t.Errorf("%q: %q", args, err)
			}
		}
	}
}

func TestHelpOfCommands(t *testing.T) {
	clear(t)
	for _, command := range []string{"", "add", "list", "show", "admin", "disable", "reset", "logout", "remove"} {
		var out strings.Builder
		args := append([]string{"user"}, strings.Fields(command+" --help")...)
		if _, err := config.Parse(args, &out); !errors.Is(err, config.ErrHelp) || !strings.Contains(out.String(), "--json") {
			t.Errorf("%q: %v\n%s", args, err, out.String())
		}
	}
}
