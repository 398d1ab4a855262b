package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"latchkey/app/control"
)

// write executes the request and writes the result: text for people, or JSON.
// Names in an answer contain no terminal control characters.
func (t terminal) write(ctx context.Context, operator control.Operator, r control.Request, asJSON bool) error {
	if r.Action == control.List {
		return t.writeList(ctx, operator, r, asJSON)
	}
	answer, err := operator.Do(ctx, r)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(t.out).Encode(struct {
			control.Account
			Link string `json:"link,omitempty"`
		}{answer.Account, answer.Link})
	}
	_, err = io.WriteString(t.out, sentence(r, answer))
	return err
}

// sentence describes the result of a request.
func sentence(r control.Request, answer control.Answer) string {
	a := answer.Account
	switch {
	case r.Action == control.Show:
		return details(a)
	case r.Action == control.Add && r.Link:
		return fmt.Sprintf("%s was added. With this link its owner chooses a password, once, within an hour:\n%s\n", a.Name, answer.Link)
	case r.Action == control.Add:
		return fmt.Sprintf("%s was added.\n", a.Name)
	case r.Action == control.Admin && r.Off:
		return fmt.Sprintf("%s is no administrator.\n", a.Name)
	case r.Action == control.Admin:
		return fmt.Sprintf("%s is an administrator.\n", a.Name)
	case r.Action == control.Disable && r.Off:
		return fmt.Sprintf("%s may log in.\n", a.Name)
	case r.Action == control.Disable:
		return fmt.Sprintf("%s is disabled; all its sessions have ended.\n", a.Name)
	case r.Action == control.Reset:
		return fmt.Sprintf("With this link the owner of %s chooses a new password, once, within an hour:\n%s\n", a.Name, answer.Link)
	case r.Action == control.Logout:
		return fmt.Sprintf("All sessions of %s have ended.\n", a.Name)
	case r.Action == control.Remove:
		return fmt.Sprintf("%s was removed, with everything it owned.\n", a.Name)
	}
	return ""
}

func details(a control.Account) string {
	password := "none yet"
	if !a.PasswordChanged.IsZero() {
		password = "set " + formatTime(a.PasswordChanged) + " UTC"
	}
	lastLogin := formatTime(a.LastLogin)
	if !a.LastLogin.IsZero() {
		lastLogin += " UTC"
	}
	return fmt.Sprintf("name        %s\nid          %s\nstate       %s\ncreated     %s UTC\nlast login  %s\npassword    %s\n",
		a.Name, a.ID, state(a), formatTime(a.Created), lastLogin, password)
}

// writeList writes the accounts of all pages. The name is the last column,
// because its width on a terminal is unknown.
func (t terminal) writeList(ctx context.Context, operator control.Operator, r control.Request, asJSON bool) error {
	out := bufio.NewWriter(t.out)
	line := func(first bool, a control.Account) error {
		if first {
			fmt.Fprintf(out, "%-16s  %-16s  %-22s  %s\n", "CREATED (UTC)", "LAST LOGIN (UTC)", "STATE", "NAME")
		}
		_, err := fmt.Fprintf(out, "%-16s  %-16s  %-22s  %s\n", formatTime(a.Created), formatTime(a.LastLogin), state(a), a.Name)
		return err
	}
	if asJSON {
		fmt.Fprint(out, "[")
		line = func(first bool, a control.Account) error {
			if !first {
				fmt.Fprint(out, ",")
			}
			text, err := json.Marshal(a)
			fmt.Fprintf(out, "\n%s", text)
			return err
		}
	}
	for first := true; ; {
		page, err := operator.Do(ctx, r)
		if err != nil {
			return err
		}
		for _, a := range page.Accounts {
			if err := line(first, a); err != nil {
				return err
			}
			first = false
		}
		if page.Next == "" {
			break
		}
		r.After = page.Next
	}
	if asJSON {
		fmt.Fprint(out, "\n]\n")
	}
	return out.Flush()
}

func state(a control.Account) string {
	switch {
	case a.Admin && a.Disabled:
		return "disabled administrator"
	case a.Admin:
		return "administrator"
	case a.Disabled:
		return "disabled"
	}
	return "enabled"
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
}
