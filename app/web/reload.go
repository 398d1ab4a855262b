package web

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/gofiber/fiber/v2"
)

// reload tells open browsers to load their page again, when a view or a public
// file was saved or the server was started anew. It exists with --dev only.
type reload struct {
	boot    string // differs in every process
	watcher *fsnotify.Watcher
	mu      sync.Mutex
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

// next returns a channel that is closed at the next save.
func (r *reload) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saved
}

// allow lets the answer run the script, and no other.
func (r *reload) allow(c *fiber.Ctx) (nonce string) {
	nonce = rand.Text()
	c.Set("Content-Security-Policy", policy+"; script-src 'nonce-"+nonce+"' 'strict-dynamic'; connect-src 'self'")
	return nonce
}

func (s *Site) devRoutes() []route {
	return []route{
		{"GET", reloadEvents, nobody, s.reload.events},
		{"GET", reloadURL, nobody, s.reload.script},
	}
}

func (r *reload) script(c *fiber.Ctx, _ Visitor) error {
	c.Type("js", "utf-8")
	return c.SendString(strings.ReplaceAll(reloadScript, "EVENTS", reloadEvents))
}

// events is the stream that the script listens to. It names the process, so that
// a browser which comes back to another one knows that it must load anew.
func (r *reload) events(c *fiber.Ctx, _ Visitor) error {
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		saved := r.next()
		fmt.Fprintf(w, "retry: 100\nevent: boot\ndata: %s\n\n", r.boot)
		alive := time.NewTicker(beat)
		defer alive.Stop()
		for w.Flush() == nil {
			select {
			case <-saved:
				saved = r.next()
				fmt.Fprint(w, "event: saved\ndata:\n\n")
			case <-alive.C:
				fmt.Fprint(w, ":\n\n")
			case <-r.done:
				return
			}
		}
	})
	return nil
}
