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

// terminal is where the operator types and reads, or a script in their place.
type terminal struct {
	in     io.Reader
	out    io.Writer // results
	prompt io.Writer // questions, so that they do not end up among results
}

// maxLine is the longest line that is read, in bytes; a longer one is cut, and
// then refused for its length.
const maxLine = 16 << 10

// fd returns the file descriptor of a terminal, if a person sits there.
func (t terminal) fd() (fd int, person bool) {
	file, ok := t.in.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(file.Fd())
	return fd, term.IsTerminal(fd)
}

// password asks a person twice, without echo, and takes the first line that a
// script sends. It never comes from an argument, which other users could see.
func (t terminal) password(ctx context.Context, name string) (string, error) {
	fd, person := t.fd()
	if !person {
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

// confirmRemoval returns an error unless a person says yes.
func (t terminal) confirmRemoval(ctx context.Context, name string) error {
	if _, person := t.fd(); !person {
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

// secret reads what a person types without showing it.
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
		// The read goes on, and its own restoring would come too late.
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	case err != nil:
		return "", fmt.Errorf("terminal: %w", err)
	}
	return string(typed), nil
}

// line reads a line, or what there is of it.
func (t terminal) line(ctx context.Context) (string, error) {
	typed, err := await(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(t.in, maxLine)).ReadString('\n')
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(typed, "\n"), "\r"), nil
}

// await returns what read returns, or when ctx ends. Reading from a terminal
// cannot be broken off, so read may be left behind; the process ends soon.
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
