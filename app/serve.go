package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"latchkey/app/control"
	"latchkey/app/web"
	"latchkey/config"
)

// shutdownTimeout is how long a shutdown waits for running requests. It is
// longer than the site's read and write timeouts.
const shutdownTimeout = 15 * time.Second

const (
	memoryLimit = 120 << 20 // bytes; see debug.SetMemoryLimit
	gcPercent   = 400       // see debug.SetGCPercent
)

// serve runs the server until ctx ends or the engine fails. Then it stops
// accepting requests, finishes the running ones, closes the control socket,
// stops the engine's background work and closes the engine.
func serve(ctx context.Context, settings config.Settings, log *slog.Logger) (err error) {
	// Hashing a password allocates 19 MiB. The limit makes the garbage collector
	// free that memory before more is allocated.
	debug.SetMemoryLimit(memoryLimit)
	// The live heap is small, so collecting at each doubling would waste time.
	debug.SetGCPercent(gcPercent)
	db, accountsService, err := open(ctx, settings, log)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // interrupted during the start
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	site, err := web.New(web.Options{
		Settings:      settings,
		Accounts:      accountsService,
		Events:        db.Events(),
		Sessions:      db.Sessions(),
		Registrations: db.Registrations(), // the example
		Log:           log,
		Disk:          os.DirFS("."),
	})
	if err != nil {
		return err
	}
	ln, err := listen(settings.Addr)
	if err != nil {
		return err
	}
	failed, stopRunning := runEngine(db)
	defer stopRunning()
	stopControl := startControl(settings.Database, control.NewDirect(accountsService, db.Sessions(), db.Events(), settings.Origin), log)
	defer stopControl()
	log.Info("listening", "addr", ln.Addr().String(), "origin", settings.Origin, "dev", settings.Dev)

	// Return the memory used by the start to the system.
	go debug.FreeOSMemory()

	served := make(chan error, 1)
	go func() { served <- site.Serve(ln) }()
	var failure error
	select {
	case err := <-served:
		return err
	case failure = <-failed:
	case <-ctx.Done():
	}
	log.Info("stopping")
	shutdownCtx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err = site.Shutdown(shutdownCtx)
	// Shutdown does not close the listener if it is called before Serve.
	ln.Close()
	stopRunning()
	select {
	case failure = <-failed: // while the last requests were finished
	default:
	}
	return errors.Join(failure, err, <-served)
}

// startControl accepts the operator's commands until stop is called. If that
// fails, the server runs without them.
func startControl(database string, operator control.Operator, log *slog.Logger) (stop func()) {
	server, err := control.Listen(database, operator, log)
	if err != nil {
		log.Warn("control", "error", err, "consequence", "the operator's commands do not work while the server runs")
		return func() {}
	}
	return func() {
		if err := server.Close(); err != nil {
			log.Warn("control", "error", err)
		}
	}
}
