package web

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/internal/patience"
)

// requestPatience is the time limit of a request once it has been read. After that the
// visitor gets the 503 page.
const requestPatience = 10 * time.Second

// beginPatience gives the request a context with the time limit s.patience. The context
// holds no reference to the request, which Fiber reuses. The caller must call End.
func (s *Site) beginPatience(c *fiber.Ctx) *patience.Context {
	ctx := patience.New(context.Background(), time.Now().Add(s.patience))
	c.SetUserContext(ctx)
	return ctx
}

// enter is the middleware around every route. It sets a time limit and the security
// headers, rejects cross-site requests, turns errors into error pages, and logs the
// request.
func (s *Site) enter(c *fiber.Ctx) error {
	defer s.beginPatience(c).End()
	s.guard.headers(c)
	err := s.guard.check(c)
	if err == nil {
		err = next(c)
	}
	if err != nil {
		return s.refuse(c, err) // which writes the line for the log
	}
	s.logRequest(c, "", nil)
	return nil
}

// lastOfConnection closes the connection after a request whose body has no length, to
// prevent request smuggling (OWASP ASVS 4.2.1). fasthttp ignores "Transfer-Encoding:
// identity" and parses the body as the next request, where a proxy may see only one.
func lastOfConnection(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const withoutLength = -2
	if !header.IsGet() && !header.IsHead() && header.ContentLength() == withoutLength {
		header.SetConnectionClose()
	}
	return fasthttp.RequestConfig{} // keep the server's limits
}

// next calls the next handler and turns a panic into an error, so that it fails only
// this request.
func next(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Next()
}

// rewriteUnknownMethods replaces methods that Fiber does not know by one that it knows
// and no route uses, so that they get a 405 or 404 page. Fiber itself would answer with
// plain text before any middleware runs.
func (s *Site) rewriteUnknownMethods(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	methods := map[string]bool{}
	for _, method := range fiber.DefaultMethods {
		methods[method] = true
	}
	return func(ctx *fasthttp.RequestCtx) {
		if !ctx.IsGet() && !methods[string(ctx.Method())] {
			ctx.SetUserValue(loggedAs{}, string(ctx.Method()))
			ctx.Request.Header.SetMethod(fiber.MethodConnect)
		}
		handle(ctx)
	}
}

// requestIDs numbers the requests. It starts at a random number, so that ids of two
// runs do not collide. An id links an error page to its log line; it is not secret.
type requestIDs struct {
	start string
	count atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{start: strconv.FormatUint(rand.Uint64()&(1<<40-1)|1<<40, 36) + "-"}
}

func (r *requestIDs) next() string { return r.start + strconv.FormatUint(r.count.Add(1), 36) }
