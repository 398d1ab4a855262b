package bolt

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// BenchmarkGather compares writes that share commits with writes one by one, and
// with what the disk can do: one raw fdatasync after another.
func BenchmarkGather(b *testing.B) {
	const turn, rounds = 300 * time.Millisecond, 5
	rate := func(writers int, write func(i int64) error) float64 {
		var count atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for range writers {
			all.Go(func() {
				for time.Since(began) < turn {
					if err := write(count.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return float64(count.Load()) / time.Since(began).Seconds()
	}
	raw, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	page := make([]byte, os.Getpagesize())
	for _, writers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprint("writers ", writers), func(b *testing.B) {
			db := openTest(b)
			change := func(i int64) func(*bbolt.Tx) error {
				k := key(fmt.Sprint(i))
				return func(tx *bbolt.Tx) error { return tx.Bucket(bucketSessions).Put(k[:], page[:200]) }
			}
			var shared, single, synced float64
			for range rounds {
				shared += rate(writers, func(i int64) error { return db.writes.do(change(i)) })
				single += rate(writers, func(i int64) error { return db.Conn().Update(change(i)) })
				synced += rate(1, func(int64) error {
					if _, err := raw.WriteAt(page, 0); err != nil {
						return err
					}
					return syscall.Fdatasync(int(raw.Fd()))
				})
			}
			b.ReportMetric(shared/rounds, "writes/s")
			b.ReportMetric(shared/single, "of-one-by-one")
			b.ReportMetric(shared/synced, "of-fdatasync")
			b.ReportMetric(0, "ns/op")
		})
	}
}
