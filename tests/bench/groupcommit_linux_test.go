package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

// BenchmarkGroupCommit compares group commit with single commits, and with raw
// fdatasync calls.
func BenchmarkGroupCommit(b *testing.B) {
	raw, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	page := make([]byte, os.Getpagesize())
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprint("writers ", writers), func(b *testing.B) {
			db, err := bolt.Open(filepath.Join(b.TempDir(), "x.db"), bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			var count atomic.Int64
			begin := func() error {
				now := time.Now()
				return db.Sessions().Begin(b.Context(), sessions.KeyOf(sessionID(int(count.Add(1)))), sessions.Key{}, sessions.Session{Began: now, Seen: now}, page[:100])
			}
			shared := func() float64 { return rate(b, writers, begin) }
			var one sync.Mutex
			single := func() float64 {
				return rate(b, writers, func() error {
					one.Lock()
					defer one.Unlock()
					return begin()
				})
			}
			synced := func() float64 {
				return rate(b, 1, func() error {
					if _, err := raw.WriteAt(page, 0); err != nil {
						return err
					}
					return syscall.Fdatasync(int(raw.Fd()))
				})
			}
			var ofSingle, ofSynced compared
			ofSingle.run(rounds, shared, single)
			ofSingle.report(b, "of-one-by-one")
			ofSynced.run(rounds, shared, synced)
			ofSynced.report(b, "of-fdatasync")
		})
	}
}

// rate returns the writes per second of that many writers in one turn.
func rate(b *testing.B, writers int, write func() error) float64 {
	b.Helper()
	var count atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range writers {
		all.Go(func() {
			for time.Since(began) < turn {
				if err := write(); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	return float64(count.Load()) / time.Since(began).Seconds()
}
