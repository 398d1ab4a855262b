package web

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/gofiber/fiber/v2"
)

// reload makes open browsers reload their page when a view or a public file was saved or
// the server restarted. It is used with --dev only.
type reload struct {
	boot    string // differs in every process
	watcher *fsnotify.Watcher
	mu      sync.Mutex
	saves   int           // so far
	saved   chan struct{} // closed at the next save
	done    chan struct{}
	once    sync.Once
}

//go:embed reload.js
var reloadScript string

const (
	reloadEvents = "/dev/events"
	reloadURL    = "/dev/reload.js"
	// settle is how long files must be quiet: editors write in several steps.
	settle = 20 * time.Millisecond
	// beat makes a stream notice that its browser has gone.
	beat = 5 * time.Second
)

func newReload(folders ...string) (*reload, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	for _, folder := range folders {
		if err := watcher.Add(folder); err != nil {
			watcher.Close()
			return nil, fmt.Errorf("watch %s: %w", folder, err)
		}
	}
	r := &reload{
		boot:    rand.Text(),
		watcher: watcher,
		saved:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	go r.watch()
	return r, nil
}

func (r *reload) watch() {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case event, open := <-r.watcher.Events:
			if !open {
				return
			}
			if !event.Has(fsnotify.Chmod) {
				quiet.Reset(settle)
			}
		case _, open := <-r.watcher.Errors:
			if !open {
				return
			}
		case <-quiet.C:
			r.mu.Lock()
			r.saves++
			close(r.saved)
			r.saved = make(chan struct{})
			r.mu.Unlock()
		}
	}
}

// close ends the watch and every open stream.
func (r *reload) close() {
	r.once.Do(func() {
		close(r.done)
		r.watcher.Close()
	})
}

// next returns the current version, which differs in every process, and a channel that
// is closed at the next save.
func (r *reload) next() (version string, saved <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boot + strconv.Itoa(r.saves), r.saved
}

// allow permits only the reload script in the response's CSP. The version may be older
// than the page, because allow runs before the views are read.
func (r *reload) allow(c *fiber.Ctx) (nonce, version string) {
	nonce = rand.Text()
	c.Set("Content-Security-Policy", policy+"; script-src 'nonce-"+nonce+"' 'strict-dynamic'; connect-src 'self'")
	version, _ = r.next()
	return nonce, version
}

func (s *Site) devRoutes() []route {
	return []route{
		handle("GET", reloadEvents, sameForAll, s.reload.events),
		handle("GET", reloadURL, sameForAll, s.reload.script),
	}
}

func (r *reload) script(c *fiber.Ctx, _ Visitor) error {
	c.Type("js", "utf-8")
	return c.SendString(strings.ReplaceAll(reloadScript, "EVENTS", reloadEvents))
}

// events is the event stream of the script. The browser sends the version it shows. If
// the current version differs, because of a save or a restart, it gets an event at once.
func (r *reload) events(c *fiber.Ctx, _ Visitor) error {
	shown := string(c.Request().URI().QueryArgs().Peek("version"))
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		fmt.Fprint(w, "retry: 100\n\n")
		alive := time.NewTicker(beat)
		defer alive.Stop()
		for w.Flush() == nil {
			version, saved := r.next()
			if version != shown {
				shown = version
				fmt.Fprint(w, "event: saved\ndata:\n\n")
				continue
			}
			select {
			case <-saved:
			case <-alive.C:
				fmt.Fprint(w, ":\n\n")
			case <-r.done:
				return
			}
		}
	})
	return nil
}
