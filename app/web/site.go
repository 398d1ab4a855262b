// Package web serves the pages. routes.go shows every route; each feature has a
// small file of its own.
package web

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
	"latchkey/app/internal/netconn"
	"latchkey/app/internal/viewengine"
	"latchkey/app/registrations"
	"latchkey/app/sessions"
	"latchkey/config"
	"latchkey/public"
	"latchkey/views"
)

// Limits on requests. The server refuses or disconnects clients that exceed them.
const (
	bodyLimit    = 64 << 10 // bytes; a larger body gets the 413 page
	headerLimit  = 16 << 10 // bytes of request line and headers; more get the 431 page
	readTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 60 * time.Second
)

// Options configures a Site.
type Options struct {
	Settings config.Settings
	Accounts *accounts.Accounts
	Events   accounts.EventStore
	Sessions sessions.Store
	Log      *slog.Logger
	Disk     fs.FS // where views/ and public/ are, with --dev only

	Registrations registrations.Store
}

// Site is the web app: it answers requests until it is shut down.
type Site struct {
	settings config.Settings
	log      *slog.Logger
	app      *fiber.App
	accounts *accounts.Accounts
	events   accounts.EventStore
	sessions *sessions.Sessions
	public   func() (*public.Files, error)
	proxies  []netip.Prefix
	guard    *guard
	cookies  cookies
	ids      *requestIDs
	patience time.Duration // requestPatience, but in tests
	reload   *reload       // nil without --dev

	registrations registrations.Store
}

// New returns a Site that is ready to Serve.
func New(o Options) (*Site, error) {
	s := &Site{
		settings: o.Settings,
		log:      o.Log,
		accounts: o.Accounts,
		sessions: sessions.New(o.Sessions, sessions.Limits{
			Idle:     o.Settings.SessionIdle,
			Lifetime: o.Settings.SessionLifetime,
		}, !o.Settings.Dev),
		events:  o.Events,
		cookies: newCookies(!o.Settings.Dev),
		ids:     newRequestIDs(),

		patience: requestPatience,

		registrations: o.Registrations,
	}
	s.sessions.Address = func(c *fiber.Ctx) string { return s.address(c).String() }
	var err error
	if s.proxies, err = o.Settings.Proxies(); err != nil {
		return nil, err
	}
	if s.guard, err = newGuard(o.Settings); err != nil {
		return nil, err
	}
	pages, err := s.open(o.Disk)
	if err != nil {
		return nil, err
	}
	s.app = fiber.New(fiber.Config{
		Views:                        pages,
		ErrorHandler:                 s.refuseUnread,
		BodyLimit:                    bodyLimit,
		ReadBufferSize:               headerLimit,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		StrictRouting:                true,
		CaseSensitive:                true,
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true, // no page takes files yet
		EnableTrustedProxyCheck:      true, // with no proxy named: Fiber itself believes no header
	})
	if err := s.route(); err != nil {
		return nil, err
	}
	s.renderOnce()
	server := s.app.Server()
	server.Handler = s.rewriteUnknownMethods(s.app.Handler())
	server.HeaderReceived = lastOfConnection
	server.CloseOnShutdown = true // keep-alive connections would hold up Shutdown
	return s, nil
}

// renderOnce renders once before the site serves, because Fiber writes to the app
// at its first Render and two first pages at once would be a data race.
func (s *Site) renderOnce() {
	c := s.app.AcquireCtx(&fasthttp.RequestCtx{})
	defer s.app.ReleaseCtx(c)
	_ = c.Render("", nil) // Fiber has written to the app before it finds no such view
}

// open loads the embedded views and static files, or with --dev those on disk, which are
// reloaded at every request.
func (s *Site) open(disk fs.FS) (*viewengine.Engine, error) {
	if !s.settings.Dev {
		files, err := public.Embedded()
		if err != nil {
			return nil, err
		}
		s.public = func() (*public.Files, error) { return files, nil }
		pages := viewengine.New(views.Files, s.constants())
		return pages, pages.Load()
	}
	viewFiles, err := folder(disk, "views")
	if err != nil {
		return nil, err
	}
	publicFiles, err := folder(disk, "public")
	if err != nil {
		return nil, err
	}
	s.public = func() (*public.Files, error) { return public.Load(publicFiles, false) }
	s.reload, err = newReload("views", "public")
	// A view that cannot be parsed does not prevent the start: its page shows the parse
	// error, and the next request reloads it.
	return viewengine.NewReloading(viewFiles, s.constants()), err
}

func (s *Site) constants() viewengine.Constants {
	return viewengine.Constants{
		Site: s.settings.Title,
		Asset: func(name string) string {
			files, err := s.public()
			if err != nil {
				return ""
			}
			return files.URL(name)
		},
	}
}

func folder(disk fs.FS, name string) (fs.FS, error) {
	if info, err := fs.Stat(disk, name); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--dev reads the folder %s from disk, and it is not here; run it in a checkout of the source", name)
	}
	return fs.Sub(disk, name)
}

// Serve serves requests on ln until Shutdown is called or the listener fails.
func (s *Site) Serve(ln net.Listener) error {
	if err := s.app.Server().Serve(netconn.Listen(ln)); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Shutdown stops accepting connections, ends the event streams, and waits for active
// requests until ctx ends.
func (s *Site) Shutdown(ctx context.Context) error {
	if s.reload != nil {
		s.reload.close()
	}
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
