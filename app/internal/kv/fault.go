package kv

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"latchkey/app/internal/store"
)

// guard runs f and turns what happens on a damaged file into store.ErrDamaged.
// bbolt panics when a page does not hold what it should, and a part of the map
// that the file no longer covers faults when it is read, which would end the
// process. Any other panic is a programming error and stays one.
func guard(f func() error) (err error) {
	defer restoreFaults(panicOnFault())
	defer recoverDamage(&err)
	return f()
}

// panicOnFault makes memory faults of this goroutine panics, and returns the
// setting before.
func panicOnFault() bool { return debug.SetPanicOnFault(true) }

func restoreFaults(before bool) { debug.SetPanicOnFault(before) }

// recoverDamage is to be deferred. It sets *err if the panic is damage to the file
// and panics again if it is not.
func recoverDamage(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if !isDamage(p) {
		panic(p)
	}
	*err = fmt.Errorf("%w: %v", store.ErrDamaged, p)
}

// isDamage reports whether a panic, whose stack still stands, came from reading
// the file: a memory fault, or anything that was raised in bbolt.
func isDamage(p any) bool {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return true
	}
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic" || strings.HasPrefix(frame.Function, "runtime.panic") || strings.HasPrefix(frame.Function, "runtime.goPanic") || frame.Function == "runtime.sigpanic":
			panicking = true
		case panicking:
			return strings.HasPrefix(frame.Function, "go.etcd.io/bbolt")
		}
		if !more {
			return false
		}
	}
}
