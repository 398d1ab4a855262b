package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal is the input and output of an operator's command. A script may take
// the place of the terminal.
type terminal struct {
	in     io.Reader
	out    io.Writer // results
	prompt io.Writer // prompts, kept apart from results
}

// maxLine is the maximum length of an input line in bytes. The rest of a longer
// line is dropped; what is left is still too long for a name or a password.
const maxLine = 16 << 10

// fd returns the file descriptor of the terminal. interactive is false if the
// input is not a terminal.
func (t terminal) fd() (fd int, interactive bool) {
	file, ok := t.in.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(file.Fd())
	return fd, term.IsTerminal(fd)
}

// password prompts twice without echo, or reads the first line of a script's
// input. A password is never an argument, because other users can see
// arguments.
func (t terminal) password(ctx context.Context, name string) (string, error) {
	fd, interactive := t.fd()
	if !interactive {
		return t.line(ctx)
	}
	first, err := t.secret(ctx, fd, fmt.Sprintf("Password for %q: ", name))
	if err != nil {
		return "", err
	}
	second, err := t.secret(ctx, fd, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// confirmRemoval returns an error unless the operator types yes.
func (t terminal) confirmRemoval(ctx context.Context, name string) error {
	if _, interactive := t.fd(); !interactive {
		return usageError{errors.New("user remove asks first, and there is no terminal to ask on; use --yes")}
	}
	fmt.Fprintf(t.prompt, "Remove the account %q and everything it owns? Type yes: ", name)
	typed, err := t.line(ctx)
	if err != nil {
		return err
	}
	if strings.ToLower(strings.TrimSpace(typed)) != "yes" {
		return errors.New("nothing was removed")
	}
	return nil
}

// secret prompts for a line and reads it without echo.
func (t terminal) secret(ctx context.Context, fd int, question string) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(t.prompt, question)
	typed, err := await(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(t.prompt)
	switch {
	case ctx.Err() != nil:
		// ReadPassword is still blocked and would restore the terminal too late.
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	case err != nil:
		return "", fmt.Errorf("terminal: %w", err)
	}
	return string(typed), nil
}

// line reads one line, or everything up to the end of the input.
func (t terminal) line(ctx context.Context) (string, error) {
	typed, err := await(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(t.in, maxLine)).ReadString('\n')
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(typed, "\n"), "\r"), nil
}

// await returns the result of read, or an error when ctx ends. A read from a
// terminal cannot be cancelled, so its goroutine may be left behind until the
// process ends.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := read()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
