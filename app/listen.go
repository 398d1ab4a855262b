package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen listens on addr. The error is one line for the operator.
func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return ln, nil
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use by another process; stop that one or choose another with --addr", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("address %s may not be used by this user; choose a port above 1023 with --addr", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not one of this machine; choose another with --addr", addr)
	}
	return fmt.Errorf("address %s cannot be listened on: %w", addr, err)
}
