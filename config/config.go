// Package config reads the settings from flags and environment variables and
// checks them.
package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Settings are all settings of the app. Zero values are invalid: Parse fills
// every field. The defaults are safe for a public server.
type Settings struct {
	Addr            string        `env:"ADDR" default:"127.0.0.1:3000" help:"Address to listen on. Port 0 chooses a free port."`
	Database        string        `env:"DATABASE" default:"data/latchkey.db" help:"Database file. It is created, with its directory, if it does not exist."`
	Dev             bool          `env:"DEV" help:"For development on your own machine: reads views and public files from disk, reloads the browser, logs in without a password."`
	Title           string        `env:"TITLE" default:"store" help:"The site's title."`
	Origin          string        `env:"ORIGIN" default:"http://localhost:3000" help:"The site's public https address."`
	SessionIdle     time.Duration `env:"SESSION_IDLE" default:"168h" help:"A session ends after this time without use."`
	SessionLifetime time.Duration `env:"SESSION_LIFETIME" default:"720h" help:"A session ends after this time, even in use."`
	PasswordMin     int           `env:"PASSWORD_MIN" default:"15" help:"Minimum length of a new password in characters, at least 8."`
	TrustedProxies  []string      `env:"TRUSTED_PROXIES" placeholder:"IP" help:"Addresses or networks of your reverse proxies. X-Forwarded-For is used only from these."`
}

// check returns the first invalid setting as one line that names the flag.
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
		return fmt.Errorf("%q is not a port; use a number from 0 to 65535", port)
	}
	// In dev mode anybody can log in as anybody, so only this machine may connect.
	if s.Dev && !Loopback(host) {
		return fmt.Errorf("--dev is for your own machine and refuses %q; use 127.0.0.1 or localhost", s.Addr)
	}
	return nil
}

// Loopback reports whether host, without a port, is a loopback address or
// localhost.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s Settings) checkDatabase() error {
	if strings.TrimSpace(s.Database) == "" || strings.ContainsRune(s.Database, 0) {
		return fmt.Errorf("%q is not a file name", s.Database)
	}
	return nil
}

func (s Settings) checkTitle() error {
	if strings.TrimSpace(s.Title) == "" || !utf8.ValidString(s.Title) || strings.ContainsFunc(s.Title, unicode.IsControl) {
		return fmt.Errorf("%q is not a title; use one line of text", s.Title)
	}
	return nil
}

func (s Settings) checkOrigin() error {
	u, err := url.Parse(s.Origin)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.TrimPrefix(u.Path, "/") != "" || strings.ContainsAny(s.Origin, "?#") {
		return fmt.Errorf("%q is not an address like https://example.com", s.Origin)
	}
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("%q must begin with https: browsers keep no session over plain http, except on localhost", s.Origin)
	}
	return fmt.Errorf("%q must begin with https", s.Origin)
}

// canonicalOrigin returns a valid origin in the form of an Origin header: lower
// case, without a default port or a path.
func canonicalOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return origin
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.Scheme + "://" + host
}

// HTTPS reports whether the site's origin is https.
func (s Settings) HTTPS() bool { return strings.HasPrefix(strings.ToLower(s.Origin), "https:") }

// checkLimit requires at least a second, the unit of cookies, and at most ten
// years, to avoid overflow.
func checkLimit(d time.Duration) error {
	const most = 10 * 365 * 24 * time.Hour
	if d < time.Second || d > most {
		return fmt.Errorf("%s is out of range; use a time from 1s to %s", d, most)
	}
	return nil
}

// checkPasswordMin enforces NIST 800-63B-4, section 3.1.1.2: never less than 8
// characters. The default is 15, for passwords without a second factor.
func (s Settings) checkPasswordMin() error {
	if s.PasswordMin < 8 || s.PasswordMin > 64 {
		return fmt.Errorf("%d is out of range; use a number from 8 to 64", s.PasswordMin)
	}
	return nil
}

func (s Settings) checkProxies() error {
	_, err := s.Proxies()
	return err
}

// Proxies returns the trusted proxies as networks. A single address is a
// network of one.
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
