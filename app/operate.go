package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/control"
	"latchkey/config"
)

// operate carries out a command of the operator, and writes what came of it.
func operate(ctx context.Context, command config.Command, t terminal) error {
	// First: nobody else may use the database while somebody thinks and types.
	request, err := t.request(ctx, command.Do)
	if err != nil {
		return interrupted(ctx, err)
	}
	operator, done, err := reach(ctx, command.Settings, request.Action)
	if err != nil {
		return interrupted(ctx, err)
	}
	err = t.write(ctx, operator, request, command.JSON)
	var refusal *accounts.Error
	if errors.As(err, &refusal) && request.Name != "" {
		err = fmt.Errorf("%q: %w", request.Name, err)
	}
	return errors.Join(interrupted(ctx, err), done())
}

// interrupted says what ended ctx was, to somebody at a terminal.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// request returns what the command asks of an Operator, with what only the
// person at the terminal can add.
func (t terminal) request(ctx context.Context, do any) (r control.Request, err error) {
	switch do := do.(type) {
	case config.UserAdd:
		r = control.Request{Action: control.Add, Name: do.Name, Admin: do.Admin, Link: do.Link}
		if !do.Link {
			r.Password, err = t.password(ctx, do.Name)
		}
	case config.UserList:
		r = control.Request{Action: control.List, Search: do.Search}
	case config.UserShow:
		r = control.Request{Action: control.Show, Name: do.Name}
	case config.UserAdmin:
		r = control.Request{Action: control.Admin, Name: do.Name, Off: do.Off}
	case config.UserDisable:
		r = control.Request{Action: control.Disable, Name: do.Name, Off: do.Off}
	case config.UserReset:
		r = control.Request{Action: control.Reset, Name: do.Name}
	case config.UserLogout:
		r = control.Request{Action: control.Logout, Name: do.Name}
	case config.UserRemove:
		r = control.Request{Action: control.Remove, Name: do.Name}
		if !do.Yes {
			err = t.confirmRemoval(ctx, do.Name)
		}
	default:
		err = fmt.Errorf("there is no command %T", do)
	}
	return r, err
}

const (
	reachWait  = 5 * time.Second // for others who have the database: a server that begins or ends, another command
	reachEvery = 20 * time.Millisecond
)

// reach returns an Operator on the database: the server's, if one runs, and
// otherwise its own on the file itself. The caller calls done at the end.
func reach(ctx context.Context, settings config.Settings, action control.Action) (o control.Operator, done func() error, err error) {
	for deadline := time.Now().Add(reachWait); ; {
		client, err := control.Dial(ctx, settings.Database)
		if err == nil {
			return client, func() error { return nil }, nil
		}
		far := errors.Is(err, control.ErrPathLong)
		if !far && !errors.Is(err, control.ErrNoServer) {
			return nil, nil, err
		}
		if _, err := os.Stat(settings.Database); action != control.Add && errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("database %s does not exist; name the one you mean with --database", settings.Database)
		}
		db, people, openErr := open(settings)
		switch {
		case openErr == nil:
			if err := db.Await(ctx); err != nil {
				return nil, nil, errors.Join(err, db.Close())
			}
			return control.NewDirect(people, db, db.Accounts(), settings.Origin), db.Close, nil
		case !errors.Is(openErr, bolt.ErrInUse):
			return nil, nil, openErr
		case far:
			return nil, nil, fmt.Errorf("database %s is in use, and the process that has it cannot be reached: %w", settings.Database, err)
		case time.Now().After(deadline):
			return nil, nil, openErr
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(reachEvery):
		}
	}
}

// admit lets the operator's commands into the server until stop is called. If
// it cannot, that is no reason not to serve.
func admit(database string, operator control.Operator, log *slog.Logger) (stop func()) {
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
