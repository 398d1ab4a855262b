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

// ErrPathLong means that the database has a path for which the system has no
// sockets.
var ErrPathLong = errors.New("the path is too long for a socket")

// socket returns where the socket of a database is: beside the file itself,
// wherever links to it are.
func socket(database string) (string, error) {
	if real, err := filepath.EvalSymlinks(database); err == nil {
		database = real
	}
	path := database + ".sock"
	// One byte less than there is room for, as some systems want.
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return "", fmt.Errorf("%w: %s has %d bytes, %d is the most; name the database by a shorter path, such as one from its own folder", ErrPathLong, path, len(path), most)
	}
	return path, nil
}

// bind makes the socket, in the place of one that a killed server left behind.
// The caller holds the lock of the database, so no other server of that file can
// be making it now.
func bind(path string) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The path may have become another's by the time this one is closed.
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
	// A database that was put in the place of another finds the socket of the
	// server that still runs on the former.
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return fmt.Errorf("%s belongs to another server that runs", path)
	}
	return os.Remove(path)
}

// owners lets only connections of this user and of root through. The mode of
// the socket does so already; this also counts between its making and its mode,
// and if somebody loosens it.
type owners struct{ *net.UnixListener }

// Accept returns the next connection of somebody who may.
func (l owners) Accept() (net.Conn, error) {
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
