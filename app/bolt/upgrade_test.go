package bolt

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// Each file of testdata was made by the version of its format: Ann, an
// administrator with two registrations and two sessions; Bob Ö, disabled, with one
// registration; Carol with a session and a reset.
var oldFiles = map[int]struct {
	made           time.Time
	ann, carol     []string // ids of sessions
	reset          string   // the secret
	sessionsGoOn   bool
	passwordChange time.Time // Ann's, when testdata has it
}{
	1: {
		made:  time.Date(2026, 11, 24, 16, 8, 52, 0, time.UTC),
		ann:   []string{"CJBhp7t9cMROrwV3WaAXr_WYayIZKqEWRcP9lziQD74", "2JeE-ucapRQZwrbz8mtC5YCdqecmExROpWmZMWgMR04"},
		carol: []string{"JSsLyxG7xUYC5ZL4AVuTHC1THaZbOqWQWfWwHlnt4wE"},
		reset: "3Pc32ruuyh5GRB7N6vJ5_VSuStPLEvqTcdDHiw1WFMQ",
	},
	2: {
		made:           time.Date(2026, 11, 24, 16, 8, 55, 0, time.UTC),
		ann:            []string{"jCOmyooukucgj4S0I9Cq9W-l-o2FU6p3GTlJeUns_wYAaIOUTT6", "BQgXCvE_tZhUli37f9PjdsciM8Xs9JiJ47BBb48noKwAaIOUTV6"},
		carol:          []string{"do_Xq7P9wieKJYi5Mjav7_t2KMheoqfg82myCpxnhDkAaIOUTVM"},
		reset:          "vy3AyqQ85L59a1S374tq4gONJ4eXhdNhdFhTAAfwlgs",
		sessionsGoOn:   true,
		passwordChange: time.Date(2026, 11, 24, 16, 8, 52, 691471000, time.UTC),
	},
}

// oldFile returns a copy of the file of an older format.
func oldFile(t *testing.T, format int) string {
	t.Helper()
	packed, err := os.Open(fmt.Sprintf("testdata/format%d.db.gz", format))
	must(t, err)
	defer packed.Close()
	unpack, err := gzip.NewReader(packed)
	must(t, err)
	content, err := io.ReadAll(unpack)
	must(t, err)
	path := filepath.Join(t.TempDir(), "old.db")
	must(t, os.WriteFile(path, content, 0o600))
	return path
}

// mustHaveAll wants in an upgraded file what was in the old one.
func mustHaveAll(t *testing.T, path string, format int) {
	t.Helper()
	old := oldFiles[format]
	db := openAt(t, path, Options{
		Limits: sessions.Limits{Idle: 7 * 24 * time.Hour, Lifetime: 30 * 24 * time.Hour},
		Now:    func() time.Time { return old.made.Add(time.Minute) },
	})
	defer db.Close()
	ctx := t.Context()

	ann, err := db.Accounts().ByName(ctx, "ann")
	must(t, err)
	if !ann.Admin || ann.Disabled || !strings.HasPrefix(ann.Hash, "$argon2id$") || ann.Created.IsZero() || ann.LastLogin.Before(ann.Created) || ann.PasswordVersion == 0 {
		t.Errorf("Ann: %#v", ann)
	}
	if !old.passwordChange.IsZero() && !ann.PasswordChanged.Equal(old.passwordChange) {
		t.Errorf("Ann's password was set at %v, not %v", ann.PasswordChanged, old.passwordChange)
	}
	bob, err := db.Accounts().ByName(ctx, "bob ö")
	must(t, err)
	if bob.Admin || !bob.Disabled || bob.Name.String() != "Bob Ö" {
		t.Errorf("Bob: %#v", bob)
	}
	carol, err := db.Accounts().ByReset(ctx, sha256.Sum256([]byte(old.reset)), old.made.Add(time.Minute))
	if err != nil || carol.Name.String() != "Carol" {
		t.Errorf("the reset is of %v, %v", carol, err)
	}
	if _, err := db.Accounts().ByReset(ctx, sha256.Sum256([]byte(old.reset)), old.made.Add(2*time.Hour)); !errors.Is(err, accounts.ErrReset) {
		t.Errorf("the reset does not expire: %v", err)
	}

	mustHaveOldRegistrations(t, db, old.made, ann.ID, bob.ID, carol.ID)
	events, err := db.Events().Events(ctx, ann.ID)
	if err != nil || len(events) < 2 || events[0].What != "login" {
		t.Errorf("events %+v, %v", events, err)
	}
	if key, err := db.Accounts().Key(ctx); err != nil || key == ([32]byte{}) {
		t.Errorf("the signing key: %x, %v", key[:4], err)
	}

	for name, ids := range map[string][]string{"Ann": old.ann, "Carol": old.carol} {
		for _, id := range ids {
			s, err := db.Sessions().Read(ctx, keyOf(id))
			if old.sessionsGoOn && (err != nil || s.Name != name) {
				t.Errorf("a session of %s: %+v, %v", name, s, err)
			}
			if !old.sessionsGoOn && !errors.Is(err, sessions.ErrEnded) {
				t.Errorf("a session of %s goes on: %+v, %v", name, s, err)
			}
		}
	}
	if list, err := db.Sessions().List(ctx, sessions.Account(ann.ID), 10); err != nil || old.sessionsGoOn && len(list) != len(old.ann) {
		t.Errorf("%d sessions of Ann are listed, %v", len(list), err)
	}
	// A session from before ends with the password it began with.
	changed, err := db.Accounts().SetPassword(ctx, ann, "other", old.made)
	if err != nil || changed.PasswordVersion != ann.PasswordVersion+1 {
		t.Errorf("another password: %#v, %v", changed, err)
	}
	if _, err := db.Sessions().Read(ctx, keyOf(old.ann[0])); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("with another password: %v", err)
	}
	must(t, db.Close())
	r, err := File(path).Check(ctx, nil)
	if err != nil || !r.OK() || r.Count("accounts") != 3 || r.Count("resets") != 1 {
		t.Errorf("the check: %+v, %v", r, err)
	}
}

func TestOlderFormats(t *testing.T) {
	for format := range oldFiles {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			path := oldFile(t, format)
			before, err := os.ReadFile(path)
			must(t, err)
			if _, err := File(path).Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "older version") {
				t.Errorf("the check: %v", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the check has changed the file")
			}
			mustHaveAll(t, path, format)
			content, err := os.ReadFile(path)
			must(t, err)
			alter(t, path, func(tx *bbolt.Tx) error {
				for _, gone := range []string{
					legacy.Bucket,
					"registrations", "registration ids",
				} {
					if tx.Bucket([]byte(gone)) != nil {
						t.Errorf("the bucket %q is still there", gone)
					}
				}
				return nil
			})
			if len(content) == 0 {
				t.Error("nothing is left")
			}
		})
	}
}

// format2Of turns a new file with n accounts back into one of format 2, each with a
// session and two registrations. It writes damage into one account and one
// registration.
func format2Of(t *testing.T, n int) (path string, damaged accounts.ID) {
	t.Helper()
	path = temp(t)
	db := openAt(t, path, Options{})
	db.kv.Bolt().NoSync = true
	all := make([]accounts.Account, n)
	for i := range all {
		all[i] = accounts.Account{ID: accounts.NewID(), Name: accounts.StoredName(nameOf(i), nameOf(i)), Hash: "hash"}
	}
	changed := time.Now().UTC()
	update(t, db, func(tx *kv.Tx) error {
		for i, a := range all {
			record := make([]byte, kv.SealSize+1+3*8)
			binary.BigEndian.PutUint64(record[kv.SealSize+17:], uint64(changed.UnixNano()))
			for _, text := range []string{a.Name.String(), a.Name.Folded(), a.Hash} {
				record = appendText(record, text)
			}
			kv.Seal(version1, a.ID[:], record)
			if i == n/2 {
				record[len(record)-1] ^= 1
				damaged = a.ID
			}
			must(t, tx.Bucket(bucketAccounts).Put(a.ID[:], record), tx.Bucket(bucketNames).Put([]byte(a.Name.Folded()), a.ID[:]))
			k := sessionKey(i)
			s := sessionRecord{Session: sessions.Session{Account: sessions.Account(a.ID), PasswordVersion: uint64(changed.UnixNano()), Began: changed, Seen: changed}, expires: changed.Add(time.Hour)}
			must(t, putSession(tx, k[:], encodeSession(k[:], s)))
		}
		return nil
	})
	must(t, db.Close())
	alter(t, path, func(tx *bbolt.Tx) error {
		putOldRegistrations(t, tx, all, changed)
		old, err := tx.CreateBucket([]byte(legacy.Bucket))
		must(t, err)
		state := tx.Bucket([]byte(bucketState))
		must(t, old.Put([]byte("format"), []byte("2")), old.Put(keySigning, bytes.Clone(state.Get(keySigning))))
		return errors.Join(tx.DeleteBucket([]byte(bucketState)), tx.DeleteBucket([]byte("kv meta")))
	})
	return path, damaged
}

// An upgrade that is killed between any two of its transactions goes on where it
// was, and damage costs the damaged record alone.
func TestUpgradeIsResumed(t *testing.T) {
	const n = 2*upgradeSlice + 500
	path, damaged := format2Of(t, n)
	steps := 0
	for ; ; steps++ {
		killed := errors.New("killed")
		layout := fileLayout()
		left := 1 // steps until the kill
		layout.Upgrades = slices.Clone(upgrades)
		layout.Upgrades[1].Step = func(tx *kv.Tx) (bool, error) {
			if left == 0 {
				return false, killed
			}
			left--
			return upgradeFormat2(tx)
		}
		db, err := kv.Open(path, layout)
		if err == nil {
			must(t, db.Close())
			break
		}
		if !errors.Is(err, killed) {
			t.Fatalf("step %d: %v", steps, err)
		}
	}
	atLeast := 3 // slices of accounts
	atLeast += 5 // and of registrations
	if steps < atLeast {
		t.Errorf("it took %d transactions for %d records: they are not bounded", steps, 3*n)
	}
	db := openAt(t, path, Options{})
	ctx := t.Context()
	for i := range n {
		a, err := db.Accounts().ByName(ctx, nameOf(i))
		if i == n/2 {
			if a, err := db.Accounts().ByID(ctx, damaged); err == nil {
				t.Errorf("a damaged account is %v", a)
			}
			continue
		}
		if err != nil || a.Hash != "hash" || a.PasswordChanged.IsZero() {
			t.Fatalf("account %d: %#v, %v", i, a, err)
		}
		if s, err := db.Sessions().Read(ctx, sessionKey(i)); err != nil || s.Name != nameOf(i) {
			t.Fatalf("session %d: %+v, %v", i, s, err)
		}
		mustHaveUpgradedRegistrations(t, db, a.ID, i)
	}
	must(t, db.Close())
	r, err := File(path).Check(ctx, nil)
	must(t, err)
	for _, line := range r.Problems {
		if !strings.Contains(line, fmt.Sprintf("%x", damaged[:])) && !strings.HasPrefix(line, "names, ") && !strings.HasPrefix(line, "sessions, ") {
			t.Errorf("%s", line)
		}
	}
}
