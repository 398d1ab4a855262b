package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrPathLong means that the path of the database is too long for a Unix
// socket.
var ErrPathLong = errors.New("the path is too long for a socket")

// socket returns the path of the control socket, beside the database file. It
// resolves symbolic links first.
func socket(database string) (string, error) {
	if real, err := filepath.EvalSymlinks(database); err == nil {
		database = real
	}
	path := database + ".sock"
	// Some systems need room for a terminating NUL.
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return "", fmt.Errorf("%w: %s has %d bytes, %d is the most; name the database by a shorter path, such as one from its own folder", ErrPathLong, path, len(path), most)
	}
	return path, nil
}

// bind creates the socket and replaces one that a killed server has left. The
// caller holds the lock of the database, so no other server of the same file
// does so at the same time.
func bind(path string) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// By the time of Close, the path may belong to another server's socket.
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close(), os.Remove(path))
	}
	return ln, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	// If the database file was replaced, a server may still run on the old file
	// and use this socket.
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return fmt.Errorf("%s belongs to another server that runs", path)
	}
	return os.Remove(path)
}

// ownerListener is a listener that accepts only this user and root. It protects the
// socket before its mode is set, and if somebody changes the mode.
type ownerListener struct{ *net.UnixListener }

// Accept returns the next connection of a permitted user.
func (l ownerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(conn); err == nil && mayControl(uid) {
			return conn, nil
		}
		conn.Close()
	}
}

func mayControl(uid int) bool { return uid == os.Geteuid() || uid == 0 }
