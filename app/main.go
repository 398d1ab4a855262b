// Command latchkey is the web app in one binary that keeps all data in one
// file. Without arguments it runs the server. The other commands manage
// accounts and check the database file; see latchkey --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"latchkey/app/internal/accesslog"
	"latchkey/app/internal/store"
	"latchkey/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

// errUsage matches errors in the command line or in a setting.
var errUsage = errors.New("usage")

// exit prints err on one line and returns the exit code: 0 for nil, 2 for errUsage,
// 4 if the disk failed during a commit, 1 for any other error. A supervisor should
// not restart the server after 4: the page cache would hide what was lost.
func exit(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "latchkey: %v (see latchkey --help)\n", errors.Unwrap(err))
		return 2
	}
	// errors.Join separates its errors by line breaks.
	fmt.Fprintf(stderr, "latchkey: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.Is(err, store.ErrFailed) {
		return 4
	}
	return 1
}

// run executes the command in args. It returns when the command is done or ctx
// ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command, err := config.Parse(args, stdout)
	if errors.Is(err, config.ErrHelp) {
		return nil
	}
	if err != nil {
		return usageError{err}
	}
	switch command.Do.(type) {
	case config.Serve:
		log, done := accesslog.New(stderr, command.Dev)
		defer done()
		return serve(ctx, command.Settings, log)
	case config.Check:
		return check(ctx, command, stdout)
	}
	return operate(ctx, command, terminal{in: stdin, out: stdout, prompt: stderr})
}

// usageError is an error that errUsage matches.
type usageError struct{ error }

func (u usageError) Unwrap() error      { return u.error }
func (usageError) Is(target error) bool { return target == errUsage }
