package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"latchkey/app/bolt"
	"latchkey/app/control"
	"latchkey/config"
)

const (
	reachWait     = 5 * time.Second // longest wait while another process has the database: a server that starts or stops, another command
	reachInterval = 20 * time.Millisecond
)

// reach returns an Operator for the database: a client of the running server
// or, if none runs, one that opens the file itself. The caller must call done.
func reach(ctx context.Context, settings config.Settings, action control.Action) (o control.Operator, done func() error, err error) {
	for deadline := time.Now().Add(reachWait); ; {
		client, err := control.Dial(ctx, settings.Database)
		if err == nil {
			return client, func() error { return nil }, nil
		}
		unreachable := errors.Is(err, control.ErrPathLong)
		if !unreachable && !errors.Is(err, control.ErrNoServer) {
			return nil, nil, err
		}
		if _, err := os.Stat(settings.Database); action != control.Add && errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("database %s does not exist; name the one you mean with --database", settings.Database)
		}
		db, accountsService, openErr := open(ctx, settings, slog.New(slog.DiscardHandler))
		switch {
		case openErr == nil:
			if waiting, ok := db.(awaiter); ok {
				if err := waiting.Await(ctx); err != nil {
					return nil, nil, errors.Join(err, db.Close())
				}
			}
			return control.NewDirect(accountsService, db.Sessions(), db.Events(), settings.Origin), db.Close, nil
		case !errors.Is(openErr, bolt.ErrInUse):
			return nil, nil, openErr
		case unreachable:
			return nil, nil, fmt.Errorf("database %s is in use, and the process that has it cannot be reached: %w", settings.Database, err)
		case time.Now().After(deadline):
			return nil, nil, openErr
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(reachInterval):
		}
	}
}
