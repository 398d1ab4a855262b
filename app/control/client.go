package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ErrNoServer means that no server accepts commands for the database: none
// runs, or it is starting or stopping.
var ErrNoServer = errors.New("no server runs on this database")

// Client is an Operator that sends requests to a running server.
type Client struct{ http http.Client }

var _ Operator = (*Client)(nil)

// clientTimeout is how long a client waits for an answer. It is longer than the
// server's own timeouts.
const clientTimeout = answerTimeout + receiveTimeout

// Dial connects to the server that runs on the database. It returns
// ErrNoServer, ErrPathLong, or an error of one line for the operator.
func Dial(ctx context.Context, database string) (*Client, error) {
	path, err := socket(database)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	switch {
	case err == nil:
		conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTSOCK):
		return nil, ErrNoServer
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("database %s is served by another user; give the command as that user", database)
	default:
		return nil, fmt.Errorf("the server of database %s cannot be reached: %w", database, err)
	}
	return &Client{http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   clientTimeout,
	}}, nil
}

// Do sends the request to the server. If the connection breaks, the server may
// have executed the request or not.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	if err := r.check(); err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://latchkey/", bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	response, err := c.http.Do(post)
	if err != nil {
		return Answer{}, noAnswer(ctx, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return Answer{}, noAnswer(ctx, err)
	}
	var reply reply
	if err := json.Unmarshal(content, &reply); err != nil {
		return Answer{}, errors.New("the server's answer cannot be understood; it may be another version of latchkey")
	}
	return reply.result()
}

// noAnswer returns the error for a missing answer.
func noAnswer(ctx context.Context, err error) error {
	var late net.Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("the server did not answer within %s; look with latchkey user list whether the command was carried out", clientTimeout)
	}
	return errors.New("the server stopped before it answered; look with latchkey user list whether the command was carried out")
}
