package config_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"latchkey/config"
)

// environment is every variable that a setting is read from, by its flag.
var environment = map[string]string{
	"--addr":             "ADDR",
	"--database":         "DATABASE",
	"--dev":              "DEV",
	"--title":            "TITLE",
	"--origin":           "ORIGIN",
	"--session-idle":     "SESSION_IDLE",
	"--session-lifetime": "SESSION_LIFETIME",
	"--password-min":     "PASSWORD_MIN",
	"--trusted-proxies":  "TRUSTED_PROXIES",
}

// clear takes away what the environment of the tests sets.
func clear(t *testing.T) {
	t.Helper()
	for _, name := range environment {
		t.Setenv(name, "") // which puts it back after the test
		os.Unsetenv(name)
	}
}

func parse(t *testing.T, args ...string) config.Settings {
	t.Helper()
	s, err := config.Parse(args, io.Discard)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return s
}

var defaults = config.Settings{
	Addr:            "127.0.0.1:3000",
	Database:        "data/latchkey.db",
	Dev:             false,
	Title:           "store",
	Origin:          "http://localhost:3000",
	SessionIdle:     168 * time.Hour,
	SessionLifetime: 720 * time.Hour,
	PasswordMin:     15,
	TrustedProxies:  nil,
}

func TestDefaults(t *testing.T) {
	clear(t)
	for _, args := range [][]string{nil, {"serve"}} {
		if got := parse(t, args...); !reflect.DeepEqual(got, defaults) {
			t.Errorf("%q gives %+v, want %+v", args, got, defaults)
		}
	}
}

// Nothing is added to the settings without a line in the tests above.
func TestEveryFlagHasItsVariable(t *testing.T) {
	if n := reflect.TypeFor[config.Settings]().NumField(); n != len(environment) {
		t.Errorf("%d settings and %d variables", n, len(environment))
	}
}

func TestFlagsAndEnvironment(t *testing.T) {
	want := config.Settings{
		Addr:            "[::1]:0",
		Database:        "/tmp/x.db",
		Dev:             true,
		Title:           "Škola",
		Origin:          "https://example.com",
		SessionIdle:     90 * time.Second,
		SessionLifetime: 36 * time.Hour,
		PasswordMin:     8,
		TrustedProxies:  []string{"10.0.0.0/8", "::1"},
	}
	values := map[string]string{
		"--addr": "[::1]:0", "--database": "/tmp/x.db", "--dev": "true", "--title": "Škola", "--origin": "https://example.com",
		"--session-idle": "90s", "--session-lifetime": "36h", "--password-min": "8", "--trusted-proxies": "10.0.0.0/8,::1",
	}
	t.Run("flags", func(t *testing.T) {
		clear(t)
		var args []string
		for flag, value := range values {
			args = append(args, flag+"="+value)
		}
		for _, args := range [][]string{args, append(args, "serve"), append([]string{"serve"}, args...)} {
			if got := parse(t, args...); !reflect.DeepEqual(got, want) {
				t.Errorf("%q gives %+v", args, got)
			}
		}
	})
	t.Run("environment", func(t *testing.T) {
		clear(t)
		for flag, name := range environment {
			t.Setenv(name, values[flag])
		}
		if got := parse(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v", got)
		}
		if got := parse(t, "--title=flag"); got.Title != "flag" {
			t.Errorf("the title is %q: the environment won over the flag", got.Title)
		}
	})
	// A variable that is there and empty is what a line `TITLE=` of a service
	// file makes; it must not switch on what is unsafe.
	t.Run("empty environment", func(t *testing.T) {
		clear(t)
		t.Setenv("DEV", "false")
		if parse(t).Dev {
			t.Error("DEV=false is dev mode")
		}
	})
}

// A wrong value is one line that names the flag, wherever it came from, and
// nothing goes to standard output.
func TestWrongValues(t *testing.T) {
	for flag, values := range map[string][]string{
		"--addr": {
			"", "3000", "localhost", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:-1", "127.0.0.1:65536", "::1:3000", "a:b:c",
			"127.0.0.1:99999999999999999999", "127.0.0.1:3000\nx", "127.0.0.1: 80",
		},
		"--database": {"", " ", "\t", "a\x00b"},
		"--dev":      {"maybe", "2", "yes\nno"},
		"--title":    {"", "  ", "two\nlines", "tab\ttab", "bell\a", "nel\u0085"},
		"--origin": {
			"", "example.com", "https://", "https://:443", "//example.com", "https:example.com", "https://example.com/path", "https://example.com?q",
			"https://example.com#f", "https://me@example.com", "https://me:secret@example.com", "http://example.com", "http://10.0.0.1",
			"http://localhost.example.com", "http://127.0.0.1.example.com", "http://0.0.0.0:3000", "ftp://example.com", "javascript:alert(1)", "https://exa mple.com", "https://a\nb",
			"https://example.com:port", "https://example.com:0x50", "https://example.com?", "https://example.com#", "https://example.com//",
		},
		"--session-idle":     {"", "0", "0s", "-1h", "999ms", "168", "1d", "soon", "87601h", "9999999h", "1h\n2h"},
		"--session-lifetime": {"", "0", "0s", "-1h", "999ms", "720", "1d", "soon", "87601h", "9999999h", "1h\n2h"},
		"--password-min":     {"", "0", "7", "-8", "65", "8.5", "eight", "0x7", "99999999999999999999", "8\n9"},
		"--trusted-proxies":  {"proxy.example.com", "10.0.0.0/33", "10.0.0.256", "10.0.0.1:80", "fe80::1%eth0", "::/129", "10.0.0.1,x", "*", "10.0.0.1\n10.0.0.2"},
	} {
		for _, value := range values {
			refused := func(from string, args ...string) {
				t.Helper()
				var out strings.Builder
				_, err := config.Parse(args, &out)
				switch {
				case err == nil:
					t.Errorf("%s %s %q is accepted", from, flag, value)
				case errors.Is(err, config.ErrHelp):
					t.Errorf("%s %s %q is taken for a wish for help", from, flag, value)
				case !strings.Contains(err.Error(), flag):
					t.Errorf("%s %s %q: the error does not name the flag: %v", from, flag, value, err)
				case strings.ContainsAny(err.Error(), "\n\r"):
					t.Errorf("%s %s %q: the error has several lines: %q", from, flag, value, err)
				}
				if out.Len() > 0 {
					t.Errorf("%s %s %q: standard output got %q", from, flag, value, out.String())
				}
			}
			t.Run(flag+" "+value, func(t *testing.T) {
				clear(t)
				refused("flag", flag+"="+value)
				if value == "" || strings.Contains(value, "\x00") {
					return // the environment cannot hold it, or not tell it from nothing
				}
				t.Setenv(environment[flag], value)
				refused("environment")
			})
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	clear(t)
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--nonsense"}, "--nonsense"},
		{[]string{"--nonsense\nx"}, "--nonsense"},
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"non\nsense"}, "sense"},
		{[]string{"serve", "nonsense"}, "nonsense"},
		{[]string{"--addr"}, "--addr"},
		{[]string{"-x"}, "-x"},
		{[]string{"--no-dev"}, "--no-dev"},
		{[]string{"serve", "serve"}, "serve"},
	} {
		_, err := config.Parse(test.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", test.args, err)
		}
	}
}

// With --dev anybody may log in as anybody.
func TestDevIsForLoopbackOnly(t *testing.T) {
	clear(t)
	for _, addr := range []string{"127.0.0.1:3000", "127.8.8.8:3000", "localhost:0", "[::1]:3000"} {
		if _, err := config.Parse([]string{"--dev", "--addr", addr}, io.Discard); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{
		":3000", "0.0.0.0:3000", "[::]:3000", "10.0.0.1:3000", "example.com:3000", "localhost.example.com:3000", "127.0.0.1.example.com:3000",
		"[::ffff:10.0.0.1]:3000", "[fe80::1%lo]:3000", "2130706433:3000", "127.1:3000",
	} {
		_, err := config.Parse([]string{"--dev", "--addr", addr}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--addr") || !strings.Contains(err.Error(), "--dev") {
			t.Errorf("%s: %v", addr, err)
		}
		if _, err := config.Parse([]string{"--addr", addr}, io.Discard); err != nil {
			t.Errorf("%s without --dev: %v", addr, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	clear(t)
	for _, test := range []struct {
		typed, want string
		https       bool
	}{
		{"https://example.com", "https://example.com", true},
		{"https://example.com:8443", "https://example.com:8443", true},
		{"https://[2001:db8::1]", "https://[2001:db8::1]", true},
		{"http://localhost", "http://localhost", false},
		{"http://localhost:3000", "http://localhost:3000", false},
		{"http://127.0.0.1:3000", "http://127.0.0.1:3000", false},
		{"http://[::1]:3000", "http://[::1]:3000", false},
		// It is compared with what browsers send, so it is kept as they write it.
		{"https://example.com/", "https://example.com", true},
		{"HTTPS://Example.COM", "https://example.com", true},
		{"https://example.com:443", "https://example.com", true},
		{"https://example.com:80", "https://example.com:80", true},
		{"http://localhost:80/", "http://localhost", false},
	} {
		s := parse(t, "--origin", test.typed)
		if s.Origin != test.want || s.HTTPS() != test.https {
			t.Errorf("%s becomes %s, https %v", test.typed, s.Origin, s.HTTPS())
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.255.0.1": true, "::1": true, "[::1]": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "128.0.0.1": false, "example.com": false,
		"localhost.example.com": false, "127.0.0.1:3000": false, "::ffff:8.8.8.8": false,
	} {
		if got := config.Loopback(host); got != want {
			t.Errorf("Loopback(%q) is %v", host, got)
		}
	}
}

// ASVS 4.1.3
func TestProxies(t *testing.T) {
	clear(t)
	for _, test := range []struct {
		text string
		want []string
	}{
		{"10.0.0.1", []string{"10.0.0.1/32"}},
		{"10.0.0.1,10.0.0.2", []string{"10.0.0.1/32", "10.0.0.2/32"}},
		{"10.0.0.1, 10.0.0.2", []string{"10.0.0.1/32", "10.0.0.2/32"}},
		{"10.1.2.3/8", []string{"10.0.0.0/8"}},
		{"::1", []string{"::1/128"}},
		{"2001:db8::5/32", []string{"2001:db8::/32"}},
		{"::ffff:10.0.0.1", []string{"10.0.0.1/32"}}, // as connections are compared
	} {
		got, err := parse(t, "--trusted-proxies", test.text).Proxies()
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		var want []netip.Prefix
		for _, text := range test.want {
			want = append(want, netip.MustParsePrefix(text))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %v, want %v", test.text, got, want)
		}
	}
	// The safe default: nobody is believed.
	if got, err := parse(t).Proxies(); err != nil || len(got) != 0 {
		t.Errorf("by default %v is trusted, %v", got, err)
	}
	// What was not read by Parse is refused too.
	if got, err := (config.Settings{TrustedProxies: []string{"10.0.0.1", "x"}}).Proxies(); err == nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestHelp(t *testing.T) {
	clear(t)
	for _, args := range [][]string{{"--help"}, {"-h"}, {"serve", "--help"}, {"--dev", "--help"}} {
		var out strings.Builder
		s, err := config.Parse(args, &out)
		if !errors.Is(err, config.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
		if !reflect.DeepEqual(s, config.Settings{}) {
			t.Errorf("%q gives settings: %+v", args, s)
		}
		for flag, name := range environment {
			// Each flag's text ends where the next flag begins.
			_, text, found := strings.Cut(out.String(), "\n      "+flag)
			text, _, _ = strings.Cut(text, "\n      --")
			if !found || !strings.Contains(text, "($"+name+")") {
				t.Errorf("%q: no %s with $%s in\n%s", args, flag, name, out.String())
			}
		}
	}
}
