package main

import (
	"context"
	"errors"
	"fmt"

	"latchkey/app/accounts"
	"latchkey/app/control"
	"latchkey/config"
)

// operate executes an operator's command and writes the result.
func operate(ctx context.Context, command config.Command, t terminal) error {
	// Prompt first: the database must not be locked while the operator types.
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

// interrupted replaces the error of a command that a signal interrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// request converts a command into a control.Request. It prompts for a password
// or a confirmation if needed.
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
