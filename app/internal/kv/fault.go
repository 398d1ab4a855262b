package kv

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"latchkey/app/internal/store"
)

// guard runs f and turns a panic or memory fault caused by a damaged file into
// store.ErrDamaged. bbolt panics on an invalid page, and reading a part of the
// memory map beyond the end of the file faults. Any other panic is a
// programming error and continues.
func guard(f func() error) (err error) {
	defer restoreFaults(panicOnFault())
	defer recoverDamage(&err)
	return f()
}

// panicOnFault turns memory faults of this goroutine into panics and returns
// the previous setting.
func panicOnFault() bool { return debug.SetPanicOnFault(true) }

func restoreFaults(before bool) { debug.SetPanicOnFault(before) }

// recoverDamage must be deferred. If the panic was caused by a damaged file, it
// sets *err; otherwise it panics again.
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

// isDamage reports whether the current panic was caused by a damaged file: it
// is a memory fault, or it was raised inside bbolt. It reads the stack, so it
// must run in a deferred function.
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
