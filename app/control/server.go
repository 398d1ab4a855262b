package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"latchkey/app/accounts"
)

const (
	receiveTimeout = 5 * time.Second  // to receive a request
	answerTimeout  = 20 * time.Second // to answer a request
	finishTimeout  = 5 * time.Second  // to finish running requests at the end
)

// Server accepts requests on the control socket of a database and passes them
// to an Operator.
type Server struct {
	operator Operator
	log      *slog.Logger
	path     string
	identity fs.FileInfo // identity of the socket file
	http     *http.Server
	stopped  chan struct{} // closed when the server has stopped accepting
}

// Listen creates the control socket of the database and serves until Close.
// Only this user and root can connect. The caller must hold the lock of the
// database until Close returns. The log has a line for each command that
// changes something.
func Listen(database string, operator Operator, log *slog.Logger) (*Server, error) {
	path, err := socket(database)
	if err != nil {
		return nil, err
	}
	ln, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), ln.Close())
	}
	s := &Server{operator: operator, log: log, path: path, identity: made, stopped: make(chan struct{})}
	s.http = &http.Server{
		Handler:        http.HandlerFunc(s.serve),
		ReadTimeout:    receiveTimeout,
		WriteTimeout:   answerTimeout,
		MaxHeaderBytes: 4 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	s.http.SetKeepAlivesEnabled(false) // a command sends one request, or one for each page
	go s.accept(ln)
	return s, nil
}

func (s *Server) accept(ln *net.UnixListener) {
	defer close(s.stopped)
	if err := s.http.Serve(ownerListener{ln}); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("control", "error", err)
	}
}

// Close removes the socket, waits up to finishTimeout for running requests and
// stops the server.
func (s *Server) Close() error {
	var err error
	if found, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(found, s.identity) {
		err = os.Remove(s.path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	if ended := s.http.Shutdown(ctx); ended != nil {
		err = errors.Join(err, ended, s.http.Close())
	}
	<-s.stopped
	if err != nil {
		return fmt.Errorf("close control socket: %w", err)
	}
	return nil
}

// errRequest is the answer to a malformed request, usually from a newer
// version.
var errRequest = errors.New("the server does not understand the command; it may be another version of latchkey")

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	var request Request
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	body.DisallowUnknownFields()
	var answer Answer
	err := body.Decode(&request)
	if err != nil || r.Method != http.MethodPost {
		err = errRequest
	} else {
		// Once begun, a change is completed even if the client disconnects.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
		defer cancel()
		answer, err = s.operator.Do(ctx, request)
		s.note(ctx, request, answer, err)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(newReply(answer, err)); err != nil {
		s.log.Error("control", "error", err)
	}
}

// note logs a command that changes something, or fails to (OWASP ASVS 16.3.1).
// It logs a name only if an account has it, because a mistyped name could be a
// password.
func (s *Server) note(ctx context.Context, r Request, a Answer, err error) {
	if r.Action == List || r.Action == Show {
		return
	}
	action := string(r.Action)
	if r.Off {
		action += " off"
	}
	who := slog.String("account", "unknown")
	if a.Account.ID != "" {
		who = slog.Group("account", slog.String("id", a.Account.ID), slog.String("name", a.Account.Name))
	}
	outcome, level := "done", slog.LevelInfo
	attrs := []slog.Attr{slog.String("action", action), who}
	var refusal *accounts.Error
	switch {
	case errors.As(err, &refusal):
		outcome, level = "refused", slog.LevelWarn
	case err != nil:
		outcome, level = "failed", slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.LogAttrs(ctx, level, "operator", append(attrs, slog.String("outcome", outcome))...)
}
