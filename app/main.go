// Command latchkey is the web app: one binary that serves the pages and keeps
// everything in one file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/control"
	"latchkey/app/internal/accesslog"
	"latchkey/app/sessions"
	"latchkey/app/web"
	"latchkey/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

// errUsage marks what is wrong with the command line or a setting.
var errUsage = errors.New("usage")

// exit writes err as one line and returns the exit code: 0 for none, 2 for a
// wrong setting, 1 for everything else.
func exit(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "latchkey: %v (see latchkey --help)\n", errors.Unwrap(err))
		return 2
	}
	// Two errors at once come joined by a line break.
	fmt.Fprintf(stderr, "latchkey: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return 1
}

// run does what the arguments say, until it is done or ctx ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command, err := config.Parse(args, stdout)
	if errors.Is(err, config.ErrHelp) {
		return nil
	}
	if err != nil {
		return usageError{err}
	}
	switch command.Do.(type) {
	case config.Serve:
		log, done := accesslog.New(stderr, command.Dev)
		defer done()
		return serve(ctx, command.Settings, log)
	case config.Check:
		return check(ctx, command, stdout)
	}
	return operate(ctx, command, terminal{in: stdin, out: stdout, prompt: stderr})
}

// usageError is an error that errUsage matches.
type usageError struct{ error }

func (u usageError) Unwrap() error      { return u.error }
func (usageError) Is(target error) bool { return target == errUsage }

// patience is how long requests in hand may take once the server is to stop. It
// is longer than the web waits for a slow visitor.
const patience = 15 * time.Second

const (
	memoryLimit = 120 << 20 // bytes, to which the garbage collector holds the heap
	collectAt   = 400       // percent of growth since the last collection
)

// serve runs the server until ctx ends. Then it stops in order: no new requests,
// those in hand finished, the sweeper ended, the operator's commands too, the
// database closed.
func serve(ctx context.Context, settings config.Settings, log *slog.Logger) (err error) {
	// Each password that is hashed leaves 19 MiB behind; the limit has them collected
	// before the next are asked for. Pages alone never come near it.
	debug.SetMemoryLimit(memoryLimit)
	// Pages keep a few MiB alive. To collect at each doubling of so little costs
	// more than the memory is worth.
	debug.SetGCPercent(collectAt)
	db, people, err := open(settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.Report = func(err error) { log.Error("write behind", "error", err) }
	site, err := web.New(web.Options{
		Settings:      settings,
		Accounts:      people,
		Events:        db.Accounts(),
		Sessions:      db,
		Registrations: db.Registrations(), // the example
		Log:           log,
		Disk:          os.DirFS("."),
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", settings.Addr)
	if err != nil {
		return listenError(settings.Addr, err)
	}
	stopControl := admit(settings.Database, control.NewDirect(people, db, db.Accounts(), settings.Origin), log)
	defer stopControl()
	log.Info("listening", "addr", ln.Addr().String(), "origin", settings.Origin, "dev", settings.Dev)

	// Starting leaves about as much garbage as an idle server has of use.
	go debug.FreeOSMemory()

	sweeping, stopSweep := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		db.Sweep(sweeping, func(removed int, err error) {
			if err != nil {
				log.Error("sweep", "removed", removed, "error", err)
				return
			}
			log.Info("sweep", "removed", removed)
		})
	}()
	defer func() { stopSweep(); <-swept }()

	served := make(chan error, 1)
	go func() { served <- site.Serve(ln) }()
	var damaged error
	select {
	case err := <-served:
		return err
	case damaged = <-db.Damaged():
	case <-ctx.Done():
	}
	log.Info("stopping")
	ending, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = site.Shutdown(ending)
	// Shutdown closes the listener of a server that serves. The signal may come
	// before it does.
	ln.Close()
	return errors.Join(damaged, err, <-served)
}

// open opens the database, and what applies the rules to the accounts in it.
func open(settings config.Settings) (*bolt.DB, *accounts.Accounts, error) {
	db, err := bolt.Open(settings.Database, sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime})
	if err != nil {
		return nil, nil, err
	}
	people, err := accounts.New(db.Accounts(), accounts.Settings{
		Title:       settings.Title,
		MinPassword: settings.PasswordMin,
		Dev:         settings.Dev,
	}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, people, nil
}

// listenError says in one line why the address cannot be had.
func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use by another process; stop that one or choose another with --addr", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("address %s may not be used by this user; choose a port above 1023 with --addr", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not one of this machine; choose another with --addr", addr)
	}
	return fmt.Errorf("address %s cannot be listened on: %w", addr, err)
}
