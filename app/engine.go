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

// engine keeps everything: it has a store for each kind of thing.
type engine interface {
	Accounts() accounts.Store
	Events() accounts.EventStore
	Sessions() sessions.Store
	Registrations() registrations.Store // the example

	// Run does the engine's background work until ctx ends, and then returns nil.
	// Any error means that the server must stop.
	Run(ctx context.Context) error
	// Close waits for the writes in hand. Run must have returned.
	Close() error
}

// What only one engine can do is an interface of its own.
type (
	// awaiter takes writes only some time after it was opened.
	awaiter interface {
		// Await waits until it takes writes, or returns why it never will.
		Await(ctx context.Context) error
	}
	// backuper can be copied while it is in use.
	backuper interface {
		Backup(ctx context.Context, w io.Writer) error
	}
	// checker is a database that can be verified while no server has it open. See
	// kv.Check for visit.
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

// open opens the engine that the settings name, and the accounts in it.
func open(ctx context.Context, settings config.Settings, log *slog.Logger) (engine, *accounts.Accounts, error) {
	db, err := bolt.Open(settings.Database, bolt.Options{
		Limits: sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime},
		Report: func(err error) { log.Error("background", "error", err) },
		Swept:  func(removed int) { log.Info("sweep", "removed", removed) },
	})
	if err != nil {
		return nil, nil, err
	}
	people, err := accounts.New(ctx, db.Accounts(), accounts.Settings{
		Title:       settings.Title,
		MinPassword: settings.PasswordMin,
		Dev:         settings.Dev,
	}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, people, nil
}

// runEngine starts the engine's background work. failed receives its error, if
// there is one. stop ends it and returns when it has ended.
func runEngine(e engine) (failed <-chan error, stop func()) {
	// Not the context of the process: a request that is finished after the signal
	// may still need the background work.
	ctx, cancel := context.WithCancel(context.Background())
	failure, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if err := e.Run(ctx); err != nil {
			failure <- err
		}
	}()
	return failure, func() { cancel(); <-ended }
}
