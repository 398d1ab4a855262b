package web

import (
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/config"
)

// ASVS 4.1.3, 15.3.4
func TestAddress(t *testing.T) {
	const proxies = "10.0.0.0/8,::1,192.0.2.7,2001:db8:1::/48"
	app := fiber.New()
	for _, test := range []struct {
		proxies, from string
		forwarded     []string // header lines
		want          string
	}{
		// Nobody is believed unless named.
		{"", "198.51.100.1", []string{"203.0.113.9"}, "198.51.100.1"},
		{"", "10.0.0.1", []string{"203.0.113.9"}, "10.0.0.1"},
		{"", "127.0.0.1", []string{"203.0.113.9"}, "127.0.0.1"},
		{proxies, "198.51.100.1", []string{"203.0.113.9"}, "198.51.100.1"},
		{proxies, "192.0.2.8", []string{"203.0.113.9"}, "192.0.2.8"},
		{proxies, "10.0.0.1", nil, "10.0.0.1"},

		{proxies, "10.0.0.1", []string{"203.0.113.9"}, "203.0.113.9"},
		{proxies, "192.0.2.7", []string{" 203.0.113.9 "}, "203.0.113.9"},
		{proxies, "::1", []string{"203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"203.0.113.9,10.0.0.2,192.0.2.7,10.0.0.3"}, "203.0.113.9"},
		// The visitor's own word stands on the left.
		{proxies, "10.0.0.1", []string{"1.2.3.4, 203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"1.2.3.4, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"10.0.0.5, 203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"garbage, 203.0.113.9"}, "203.0.113.9"},
		// A proxy may add a line of its own.
		{proxies, "10.0.0.1", []string{"1.2.3.4", "203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"1.2.3.4, 5.6.7.8", "203.0.113.9, 10.0.0.2", "10.0.0.3"}, "203.0.113.9"},
		// All are proxies.
		{proxies, "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		// IPv6, and IPv4 written as IPv6.
		{proxies, "10.0.0.1", []string{"2001:db8:2::9"}, "2001:db8:2::9"},
		{proxies, "2001:db8:1::5", []string{"2001:db8:2::9, 2001:db8:1::6"}, "2001:db8:2::9"},
		{proxies, "::ffff:10.0.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
		{proxies, "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"10.0.0.0/8", "::ffff:203.0.113.9", []string{"1.2.3.4"}, "203.0.113.9"},
		// Garbage ends the search at the last hop that is sure.
		{proxies, "10.0.0.1", []string{"203.0.113.9, garbage"}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{"203.0.113.9, garbage, 10.0.0.2"}, "10.0.0.2"},
		{proxies, "10.0.0.1", []string{""}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{","}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{"203.0.113.9:80"}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{"unknown"}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{"203.0.113.9\x00"}, "10.0.0.1"},
		{proxies, "10.0.0.1", []string{strings.Repeat("9", 5000)}, "10.0.0.1"},
	} {
		var settings config.Settings
		if test.proxies != "" {
			settings.TrustedProxies = strings.Split(test.proxies, ",")
		}
		proxies, err := settings.Proxies()
		if err != nil {
			t.Fatal(err)
		}
		s := &Site{app: app, proxies: proxies}
		var r fasthttp.Request
		for _, line := range test.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		for _, name := range []string{"X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip"} {
			r.Header.Set(name, "6.6.6.6")
		}
		var ctx fasthttp.RequestCtx
		ctx.Init(&r, &net.TCPAddr{IP: net.ParseIP(test.from), Port: 1}, nil)
		c := app.AcquireCtx(&ctx)
		if got := s.address(c).String(); got != test.want {
			t.Errorf("%q trusts %q, %q: %s, want %s", test.from, test.proxies, test.forwarded, got, test.want)
		}
		app.ReleaseCtx(c)
	}
}
