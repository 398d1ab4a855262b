package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"latchkey/app/bolt"
	"latchkey/app/internal/kv"
	"latchkey/config"
)

// check verifies the database file. It writes a line for each problem and a
// summary or, with --json, the report and the records. Problems are an error.
func check(ctx context.Context, command config.Command, out io.Writer) error {
	db, ok := any(bolt.File(command.Database)).(checker)
	if !ok {
		return errors.New("this kind of database cannot be checked")
	}
	var report kv.Report
	var err error
	if command.JSON {
		report, err = writeContent(ctx, db, out)
	} else if report, err = db.Check(ctx, nil); err == nil {
		err = writeReport(out, report)
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	if !report.OK() {
		return fmt.Errorf("database %s is damaged; put a backup in its place", command.Database)
	}
	return nil
}

// writeContent streams one JSON object: under "tables" the records of each
// table, without secrets, then the counts and the problems.
func writeContent(ctx context.Context, db checker, out io.Writer) (kv.Report, error) {
	write := func(before string, value any) error {
		text, err := json.Marshal(value)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s%s", before, text)
		}
		return err
	}
	last := "" // the table of the previous record
	report, err := db.Check(ctx, func(table string, record any) error {
		before := ",\n"
		if table != last {
			end := "],\n"
			if last == "" {
				end = "{\"tables\":{"
			}
			before = fmt.Sprintf("%s%q:[\n", end, table)
		}
		last = table
		return write(before, record)
	})
	if err != nil {
		return report, err
	}
	before := "]},\n"
	if last == "" {
		before = "{\"tables\":{},\n"
	}
	for _, c := range report.Counts {
		if err := write(fmt.Sprintf("%s%q:", before, c.Name), c.Records); err != nil {
			return report, err
		}
		before = ","
	}
	if err := write(before+"\"problems\":", report.Problems); err != nil {
		return report, err
	}
	err = write(",\"more\":", report.More)
	if err == nil {
		_, err = io.WriteString(out, "}\n")
	}
	return report, err
}

func writeReport(out io.Writer, r kv.Report) error {
	for _, line := range r.Problems {
		if _, err := fmt.Fprintf(out, "problem: %s\n", line); err != nil {
			return err
		}
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d problems more\n", r.More)
	}
	for _, c := range r.Counts {
		fmt.Fprintf(out, "%-14s  %d\n", c.Name, c.Records)
	}
	if !r.OK() {
		return nil
	}
	_, err := fmt.Fprintln(out, "The database is whole.")
	return err
}
