package bolt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

var (
	sessionCount = flag.Int("sessions", 20_000, "how many sessions BenchmarkSweep has on file, half of them expired")
	sweepFor     = flag.Duration("sweep", 2*time.Hour, "how long BenchmarkSweep lets the sweeper work before it reckons the rest")
)

// BenchmarkSweep measures how long a sweep of many sessions takes, how it
// affects readers, and whether freed pages are reused. With -v it shows its
// progress:
//
//	go test ./app/bolt -run '^$' -bench Sweep -v -timeout 3h -sessions 10000000
func BenchmarkSweep(b *testing.B) {
	n := *sessionCount
	path := filepath.Join(b.TempDir(), "x.db")
	const day = 24 * time.Hour // longer than all of this takes
	db := openAt(b, path, Options{Limits: sessions.Limits{Idle: day, Lifetime: day}})
	var err error
	began := time.Now()
	fillSessions(b, db, n)
	load := newVisitors(b, db)
	full := fileSize(b, path)
	b.Logf("%d sessions filled in %.0f s, %d MiB", n, time.Since(began).Seconds(), full>>20)

	without := load.run(b, context.Background(), max(2*time.Second, min(30*time.Second, time.Duration(n)*10*time.Microsecond)))
	sweeping, stop := context.WithTimeout(b.Context(), *sweepFor)
	var removed int
	began = time.Now()
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		defer stop()
		if removed, err = db.kv.Sweep(sweeping); err != nil {
			b.Error(err)
		}
	}()
	with := load.run(b, sweeping, 2*time.Hour)
	<-swept
	took := time.Since(began)
	if removed < n/2 {
		b.Logf("%d removed in %.0f s, the rest is reckoned", removed, took.Seconds())
		took = time.Duration(float64(took) * float64(n/2) / float64(removed))
	} else {
		after := fileSize(b, path)
		b.Logf("%d removed in %.0f s; reads p50 %v and p99 %v, without the sweeper %v and %v; %d MiB",
			removed, took.Seconds(), with.p50, with.p99, without.p50, without.p99, after>>20)
		for range 3 {
			comeAndGo(b, db, n/20)
			b.Logf("%d came and went: %d MiB", n/20, fileSize(b, path)>>20)
		}
		b.ReportMetric(float64(after)/float64(full), "size-swept")
		b.ReportMetric(float64(fileSize(b, path))/float64(full), "size-steady")
	}

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds(), "s-to-sweep")
	b.ReportMetric(float64(n/2)/took.Seconds(), "removed/s")
	b.ReportMetric(micro(without.p99), "µs-p99-without")
	b.ReportMetric(micro(with.p99), "µs-p99-with")
	b.ReportMetric(float64(with.p99)/float64(without.p99), "p99-ratio")
	b.ReportMetric(micro(without.p50), "µs-p50-without")
	b.ReportMetric(micro(with.p50), "µs-p50-with")
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func fileSize(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// spread returns the beginning of key i of n, evenly spaced like hashes.
func spread(i, n int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(i)*(^uint64(0)/uint64(n)))
}

// fillSessions stores n sessions, half of them expired, of n/10 accounts, in
// key order and in few transactions.
func fillSessions(b *testing.B, db *DB, n int) {
	file := db.kv.Bolt()
	file.NoSync = true
	defer func() { file.NoSync = false; file.Sync() }()
	people := max(1, n/10)
	id := func(i int) (id accounts.ID) { copy(id[:], spread(i, people)); return id }
	key := func(i int) []byte {
		made := binary.BigEndian.AppendUint64(nil, 1<<40+uint64(i)) // a millisecond each, in the year 2004
		sum := sha256.Sum256(made)
		return append(made[2:], sum[:]...)
	}
	now := time.Now()
	each := func(n int, put func(tx *kv.Tx, i int) error) {
		for first := 0; first < n; first += 200_000 {
			err := db.kv.Update(b.Context(), func(tx *kv.Tx) error {
				for i := first; i < min(n, first+200_000); i++ {
					if err := put(tx, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	each(people, func(tx *kv.Tx, i int) error {
		name := nameOf(i)
		a := accounts.Account{ID: id(i), Name: accounts.StoredName(name, name), Created: now, PasswordChanged: now, PasswordVersion: 1, Hash: "hash"}
		owner := a.ID
		return errors.Join(tx.Bucket(bucketNames).Put([]byte(name), owner[:]), putAccount(tx, a))
	})
	random := mathrand.New(mathrand.NewPCG(1, 2))
	owners := make([]uint64, n) // account and session in one number, to be sorted
	each(n, func(tx *kv.Tx, i int) error {
		at := now
		if i%2 == 0 {
			at = now.Add(-48 * time.Hour)
		}
		owner := random.IntN(people)
		owners[i] = uint64(owner)<<32 | uint64(i)
		r := sessionRecord{
			Session: sessions.Session{
				Account: sessions.Account(id(owner)), PasswordVersion: 1, Began: at, Seen: at, Reauthenticated: at,
				Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Address: "192.0.2.17",
			},
			expires: at.Add(24 * time.Hour),
			data:    make([]byte, 40),
		}
		k := key(i)
		return putSession(tx, k, encodeSession(k, r))
	})
	end := key(n)
	update(b, db, func(tx *kv.Tx) error { return putIndexedUpTo(tx, end) })
	slices.Sort(owners)
	each(n, func(tx *kv.Tx, i int) error {
		return putIndex(tx, kv.ID(id(int(owners[i]>>32))), key(int(uint32(owners[i]))))
	})
}

// visitors request pages and log in at a steady rate.
type visitors struct {
	db   *DB
	keys []sessions.Key
}

const (
	visitorsAtOnce = 4
	readEvery      = time.Millisecond
	loginEvery     = 20 * time.Millisecond
)

func newVisitors(b *testing.B, db *DB) *visitors {
	r := &visitors{db: db}
	s := someone(b, db)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 100 {
				k := keyOf(sessions.NewID(time.Now()))
				if err := db.Sessions().Begin(b.Context(), k, sessions.Key{}, s, nil); err != nil {
					b.Error(err)
				}
				mu.Lock()
				r.keys = append(r.keys, k)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return r
}

// someone returns a session of an existing account.
func someone(b *testing.B, db *DB) sessions.Session {
	list, err := db.Accounts().List(b.Context(), "", "", 1)
	if err != nil || len(list) == 0 {
		b.Fatal(err)
	}
	now := time.Now()
	return sessions.Session{Account: sessions.Account(list[0].ID), PasswordVersion: list[0].PasswordVersion, Began: now, Seen: now}
}

type spans struct{ p50, p99 time.Duration }

// run reads until ctx or the time ends, and returns the durations of the reads.
func (r *visitors) run(b *testing.B, ctx context.Context, most time.Duration) spans {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	s := someone(b, r.db)
	var group sync.WaitGroup
	var failed atomic.Bool
	all := make([][]time.Duration, visitorsAtOnce)
	for i := range all {
		group.Go(func() {
			random := mathrand.New(mathrand.NewPCG(uint64(i), 0))
			for tick := time.NewTicker(readEvery); ; {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				began := time.Now()
				if _, err := r.db.Sessions().Read(ctx, r.keys[random.IntN(len(r.keys))]); err != nil && ctx.Err() == nil {
					failed.Store(true)
				}
				all[i] = append(all[i], time.Since(began))
			}
		})
	}
	group.Go(func() {
		for tick := time.NewTicker(loginEvery); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			k := keyOf(sessions.NewID(time.Now()))
			if err := r.db.Sessions().Begin(b.Context(), k, sessions.Key{}, s, nil); err != nil {
				failed.Store(true)
			}
		}
	})
	group.Wait()
	if failed.Load() {
		b.Error("a read or a login failed")
	}
	times := slices.Concat(all...)
	slices.Sort(times)
	if len(times) == 0 {
		return spans{}
	}
	return spans{times[len(times)/2], times[len(times)*99/100]}
}

// comeAndGo logs n visitors in, with sessions that expire immediately, and
// sweeps.
func comeAndGo(b *testing.B, db *DB, n int) {
	s := someone(b, db)
	s.Began = s.Began.Add(-48 * time.Hour)
	s.Seen = s.Began
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			for range n / 100 {
				k := keyOf(sessions.NewID(time.Now()))
				if err := db.Sessions().Begin(b.Context(), k, sessions.Key{}, s, nil); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	if _, err := db.kv.Sweep(b.Context()); err != nil {
		b.Error(err)
	}
}
