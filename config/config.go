// Package config reads the settings from flags and environment into one value,
// and checks it once.
package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// Settings are all that can be set. The zero of nothing is meant: Parse fills
// every field. They are safe for a public server as they are by default.
type Settings struct {
	Addr            string        `env:"ADDR" default:"127.0.0.1:3000" help:"Address to listen on. Port 0 takes a free one."`
	Database        string        `env:"DATABASE" default:"data/latchkey.db" help:"File that keeps everything. It and its folder are made when missing."`
	Dev             bool          `env:"DEV" help:"For your own machine: views and public files from disk, the browser reloads, a name logs in without a password."`
	Title           string        `env:"TITLE" default:"store" help:"The site's title."`
	Origin          string        `env:"ORIGIN" default:"http://localhost:3000" help:"The https address people use."`
	SessionIdle     time.Duration `env:"SESSION_IDLE" default:"168h" help:"A session ends when it was not used for so long."`
	SessionLifetime time.Duration `env:"SESSION_LIFETIME" default:"720h" help:"A session ends after so long, used or not."`
	PasswordMin     int           `env:"PASSWORD_MIN" default:"15" help:"The shortest password that may be chosen, in characters, from 8."`
	TrustedProxies  []string      `env:"TRUSTED_PROXIES" placeholder:"IP" help:"Addresses or networks of your own proxies, whose X-Forwarded-For is believed."`
}

// commands is what may stand on the command line.
type commands struct {
	Settings
	Serve struct{} `cmd:"" default:"1" help:"Run the server. This is what happens without a command."`
}

// ErrHelp means that help was asked for and printed, and nothing is left to do.
var ErrHelp = errors.New("help was printed")

// Parse reads args (without the program's name) and the environment, checks the
// settings, and prints help to stdout if args ask for it. The error is one line
// that names the flag, or ErrHelp.
func Parse(args []string, stdout io.Writer) (Settings, error) {
	var cli commands
	helped := false
	parser, err := kong.New(&cli,
		kong.Name("latchkey"),
		kong.Description("A web app whose front door already works."),
		kong.Writers(stdout, io.Discard),
		// Help must come back to main, which alone may end the process.
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return Settings{}, fmt.Errorf("command line: %w", err)
	}
	_, err = parser.Parse(args)
	if helped {
		return Settings{}, ErrHelp
	}
	if err != nil {
		// What was typed may stand in the error, line breaks and all.
		return Settings{}, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	if err := cli.Settings.check(); err != nil {
		return Settings{}, err
	}
	cli.Settings.Origin, err = origin(cli.Settings.Origin)
	return cli.Settings, err
}

// check returns the first thing that is wrong, as one line that names its flag.
func (s Settings) check() error {
	for _, c := range []struct {
		flag string
		err  error
	}{
		{"--addr", s.checkAddr()},
		{"--database", s.checkDatabase()},
		{"--title", s.checkTitle()},
		{"--origin", s.checkOrigin()},
		{"--session-idle", checkLimit(s.SessionIdle)},
		{"--session-lifetime", checkLimit(s.SessionLifetime)},
		{"--password-min", s.checkPasswordMin()},
		{"--trusted-proxies", s.checkProxies()},
	} {
		if c.err != nil {
			return fmt.Errorf("%s: %w", c.flag, c.err)
		}
	}
	return nil
}

func (s Settings) checkAddr() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", s.Addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is not a port; it is a number from 0 to 65535", port)
	}
	// In dev mode anybody may be anybody, so nobody else may reach it.
	if s.Dev && !Loopback(host) {
		return fmt.Errorf("--dev is for your own machine and refuses %q; use 127.0.0.1 or localhost", s.Addr)
	}
	return nil
}

// Loopback reports whether host, without a port, is this machine's own and
// reachable from nowhere else.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s Settings) checkDatabase() error {
	if strings.TrimSpace(s.Database) == "" || strings.ContainsRune(s.Database, 0) {
		return fmt.Errorf("%q is not a file", s.Database)
	}
	return nil
}

func (s Settings) checkTitle() error {
	if strings.TrimSpace(s.Title) == "" || !utf8.ValidString(s.Title) || strings.ContainsFunc(s.Title, unicode.IsControl) {
		return fmt.Errorf("%q is not a title; it is one line of text", s.Title)
	}
	return nil
}

func (s Settings) checkOrigin() error {
	_, err := origin(s.Origin)
	return err
}

// origin returns an address as browsers write it in the Origin header: lower
// case, without the usual port, without a path.
func origin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") {
		return "", fmt.Errorf("%q is not an address like https://example.com", text)
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && Loopback(u.Hostname()):
	case u.Scheme == "http":
		return "", fmt.Errorf("%q must begin with https: browsers keep no session over plain http, except on localhost", text)
	default:
		return "", fmt.Errorf("%q must begin with https", text)
	}
	host, usual := strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}
	return u.Scheme + "://" + strings.TrimSuffix(host, usual[u.Scheme]), nil
}

// HTTPS reports whether people reach the site over https.
func (s Settings) HTTPS() bool { return strings.HasPrefix(s.Origin, "https:") }

// checkLimit asks for a second at least, because cookies count in seconds, and
// for ten years at most, because what is meant as "never" must not overflow.
func checkLimit(d time.Duration) error {
	const most = 10 * 365 * 24 * time.Hour
	if d < time.Second || d > most {
		return fmt.Errorf("%s is out of range; it is a time from 1s to %s", d, most)
	}
	return nil
}

// checkPasswordMin follows NIST 800-63B-4, section 3.1.1.2: 15 where a password
// stands alone, and never under 8.
func (s Settings) checkPasswordMin() error {
	if s.PasswordMin < 8 || s.PasswordMin > 64 {
		return fmt.Errorf("%d is out of range; it is a number from 8 to 64", s.PasswordMin)
	}
	return nil
}

func (s Settings) checkProxies() error {
	_, err := s.Proxies()
	return err
}

// Proxies returns the trusted proxies as networks; a lone address is a network
// of one.
func (s Settings) Proxies() ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range s.TrustedProxies {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			proxies = append(proxies, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network like 10.0.0.0/8", text)
		}
		proxies = append(proxies, network.Masked())
	}
	return proxies, nil
}
