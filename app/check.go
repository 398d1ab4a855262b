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
	whole := "The database is whole."
	if !r.Whole() {
		whole = "The database is not whole."
	}
	_, err := fmt.Fprintf(out, "accounts        %d, of them %d administrators\nsessions        %d\nregistrations   %d\nresets          %d\nevents          %d\n%s\n",
		r.Accounts, r.Administrators, r.Sessions, r.Registrations, r.Resets, r.Events, whole)
	return err
}
