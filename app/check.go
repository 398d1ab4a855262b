package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"latchkey/app/bolt"
	"latchkey/config"
)

// check checks the database file and writes what it found: a summary, and a line
// for each problem. That there are problems is an error.
func check(ctx context.Context, command config.Command, out io.Writer) error {
	report, err := bolt.Check(ctx, command.Database)
	if err != nil {
		return interrupted(ctx, err)
	}
	if command.JSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		err = writeReport(out, report)
	}
	if err == nil && !report.Whole() {
		err = fmt.Errorf("database %s is damaged; put a backup in its place", command.Database)
	}
	return err
}

func writeReport(out io.Writer, r bolt.Report) error {
	for _, line := range r.Problems {
		if _, err := fmt.Fprintf(out, "problem: %s\n", line); err != nil {
			return err
		}
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d problems more\n", r.More)
	}
	for _, line := range []struct {
		what  string
		count int
	}{
		{"accounts", r.Accounts},
		{"administrators", r.Administrators},
		{"sessions", r.Sessions},
		{"registrations", r.Registrations},
		{"resets", r.Resets},
		{"events", r.Events},
	} {
		fmt.Fprintf(out, "%-14s  %d\n", line.what, line.count)
	}
	if !r.Whole() {
		return nil
	}
	_, err := fmt.Fprintln(out, "The database is whole.")
	return err
}
