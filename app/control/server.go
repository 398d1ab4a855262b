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
	sendTime   = 5 * time.Second  // for a request to arrive
	answerTime = 20 * time.Second // for a request to be answered
	finishTime = 5 * time.Second  // for those in hand, once the server is to stop
)

// Server lets the operator's commands reach an Operator through the socket of a
// database.
type Server struct {
	operator Operator
	log      *slog.Logger
	path     string
	made     fs.FileInfo // the socket, to know it again
	http     *http.Server
	served   chan struct{} // closed when it accepts no more
}

// Listen makes the socket of the database, which only this user and root may use,
// and serves until Close. The caller holds the lock of the database until then.
// Each command that changes something is a line in the log.
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
	s := &Server{operator: operator, log: log, path: path, made: made, served: make(chan struct{})}
	s.http = &http.Server{
		Handler:        http.HandlerFunc(s.serve),
		ReadTimeout:    sendTime,
		WriteTimeout:   answerTime,
		MaxHeaderBytes: 4 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	s.http.SetKeepAlivesEnabled(false) // a command has one request, or pages of them
	go s.accept(ln)
	return s, nil
}

func (s *Server) accept(ln *net.UnixListener) {
	defer close(s.served)
	if err := s.http.Serve(owners{ln}); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("control", "error", err)
	}
}

// Close removes the socket, finishes the requests in hand, for a moment at most,
// and returns when none is left.
func (s *Server) Close() error {
	var err error
	if found, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(found, s.made) {
		err = os.Remove(s.path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	if ended := s.http.Shutdown(ctx); ended != nil {
		err = errors.Join(err, ended, s.http.Close())
	}
	<-s.served
	if err != nil {
		return fmt.Errorf("close control socket: %w", err)
	}
	return nil
}

// errRequest most likely means that the command is newer than the server.
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
		// A change that has begun is finished, whether the command waits or not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
		defer cancel()
		answer, err = s.operator.Do(ctx, request)
		s.note(ctx, request, answer, err)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(newReply(answer, err)); err != nil {
		s.log.Error("control", "error", err)
	}
}

// note writes the line for a command that changes something, or was to (OWASP
// ASVS 16.3.1). What was typed as a name appears only if an account is called so.
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
