package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/internal/kv"
	"latchkey/app/registrations"
	"latchkey/app/sessions"
	"latchkey/config"
)

// engine is a storage engine: a store for each kind of thing, and background
// work.
type engine interface {
	Accounts() accounts.Store
	Events() accounts.EventStore
	Sessions() sessions.Store
	Registrations() registrations.Store // the example

	// Run does the engine's background work until ctx ends, and returns nil. If it
	// returns an error, the server must stop.
	Run(ctx context.Context) error
	// Close waits for running writes. Call it after Run has returned.
	Close() error
}

// Optional interfaces of engines.
type (
	// awaiter is an engine that accepts writes only some time after it was opened.
	awaiter interface {
		// Await waits until the engine accepts writes. It returns an error if it
		// never will.
		Await(ctx context.Context) error
	}
	// backuper is an engine that can be copied while it is in use.
	backuper interface {
		Backup(ctx context.Context, w io.Writer) error
	}
	// checker verifies a database that no server has open. For visit, see
	// kv.Check.
	checker interface {
		Check(ctx context.Context, visit func(table string, record any) error) (kv.Report, error)
	}
)

var (
	_ engine   = (*bolt.DB)(nil)
	_ awaiter  = (*bolt.DB)(nil)
	_ backuper = (*bolt.DB)(nil)
	_ checker  = bolt.File("")
)

// open opens the configured engine and the accounts service on top of it.
func open(ctx context.Context, settings config.Settings, log *slog.Logger) (engine, *accounts.Accounts, error) {
	db, err := bolt.Open(settings.Database, bolt.Options{
		Limits: sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime},
		Report: func(err error) { log.Error("background", "error", err) },
		Swept:  func(removed int) { log.Info("sweep", "removed", removed) },
	})
	if err != nil {
		return nil, nil, err
	}
	accountsService, err := accounts.New(ctx, db.Accounts(), accounts.Settings{
		Title:       settings.Title,
		MinPassword: settings.PasswordMin,
		Dev:         settings.Dev,
	}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, accountsService, nil
}

// runEngine runs the engine's background work. failed receives the error of
// Run, if any. stop ends the work and waits for it.
func runEngine(e engine) (failed <-chan error, stop func()) {
	// Not the context of the process: requests that finish after the signal may
	// still need the background work.
	ctx, cancel := context.WithCancel(context.Background())
	errs, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if err := e.Run(ctx); err != nil {
			errs <- err
		}
	}()
	return errs, func() { cancel(); <-ended }
}
