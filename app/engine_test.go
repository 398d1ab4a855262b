package main

import (
	"context"
	"errors"
	"testing"
)

// fakeEngine has no stores. Its Run ends with ctx, or with what fail gets.
type fakeEngine struct {
	engine
	running chan struct{} // closed once Run has begun
	fail    chan error
	ended   bool // Run has returned
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{running: make(chan struct{}), fail: make(chan error)}
}

func (f *fakeEngine) Run(ctx context.Context) error {
	defer func() { f.ended = true }()
	close(f.running)
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.fail:
		return err
	}
}

// The background work goes on until it is stopped, and has ended then.
func TestEngineRunsUntilItIsStopped(t *testing.T) {
	e := newFakeEngine()
	failed, stop := runEngine(e)
	<-e.running
	stop()
	if !e.ended {
		t.Error("it still runs")
	}
	select {
	case err := <-failed:
		t.Errorf("it failed with %v", err)
	default:
	}
}

// Why the background work has ended reaches whoever waits for it; stop may be called
// all the same.
func TestEngineFails(t *testing.T) {
	broken := errors.New("the disk is on fire")
	e := newFakeEngine()
	failed, stop := runEngine(e)
	e.fail <- broken
	if err := <-failed; !errors.Is(err, broken) {
		t.Errorf("it failed with %v", err)
	}
	stop()
}
