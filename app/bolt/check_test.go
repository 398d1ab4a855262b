package bolt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestCheckOfAWholeFile(t *testing.T) {
	path := testFile(t)
	visited := map[string]int{}
	var printed strings.Builder
	r, err := File(path).Check(t.Context(), func(table string, record any) error {
		visited[table]++
		line, err := json.Marshal(record)
		fmt.Fprintf(&printed, "%s %s\n", table, line)
		return err
	})
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	counts := map[string]int{
		"accounts": 3, "administrators": 1, "sessions": 6, "resets": 3, "events": 3,
		"registrations": 6,
	}
	for what, want := range counts {
		if got := r.Count(what); got != want || visited[what] != want {
			t.Errorf("%s: %d, visited %d, want %d", what, got, visited[what], want)
		}
	}
	for _, c := range r.Counts {
		if _, known := counts[c.Name]; !known && c.Records > 0 {
			t.Errorf("it counts more: %+v, %v", r.Counts, visited)
		}
	}
	if len(visited) != len(counts) {
		t.Errorf("it visits more: %v", visited)
	}
	// Check prints the contents without secrets. ASVS 14.2.2
	for _, want := range []string{nameOf(1), `"Agent":"`, `"What":"login"`} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("nothing says %s:\n%s", want, printed.String())
		}
	}
	secret := openAt(t, path, Options{})
	key, err := secret.Accounts().Key(t.Context())
	noError(t, err)
	for _, never := range []string{`"hash"`, fmt.Sprintf("%x", key[:8]), fmt.Sprintf("%x", sessionKey(1)), `"data"`} {
		if strings.Contains(printed.String(), never) {
			t.Errorf("it says %s:\n%s", never, printed.String())
		}
	}
	stop := errors.New("no more")
	noError(t, secret.Close())
	if _, err := File(path).Check(t.Context(), func(string, any) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a visit that fails: %v", err)
	}
}

// Check detects a missing or changed entry of each index.
func TestCheckFindsWhatDoesNotMatch(t *testing.T) {
	tests := map[string]func(tx *bbolt.Tx) error{
		"a session that is not decoded": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketSessions))
			return b.Put(firstKey(b), []byte("nonsense"))
		},
		"a session under another's key": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketSessions))
			k, _ := b.Cursor().Last()
			return b.Put(firstKey(b), bytes.Clone(b.Get(k)))
		},
		"a name of another": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketNames))
			k, _ := b.Cursor().Last()
			return b.Put(firstKey(b), bytes.Clone(b.Get(k)))
		},
		"a disabled administrator": func(tx *bbolt.Tx) error {
			id := firstKey(tx.Bucket([]byte(bucketAdmins)))
			b := tx.Bucket([]byte(bucketAccounts))
			a, err := decodeAccount(id, b.Get(id))
			a.Disabled = true
			return errors.Join(err, b.Put(id, encodeAccount(a)))
		},
		"an account of an older format": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketAccounts))
			id := firstKey(b)
			record := bytes.Clone(b.Get(id))
			record[0] = recordVersion1
			return b.Put(id, record)
		},
		"a short signing key": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketState)).Put(keySigning, []byte("short"))
		},
	}
	for _, table := range []string{
		bucketAccounts, bucketNames, bucketAdmins, bucketSessions, bucketSessionIndex, bucketResets, bucketAccountResets,
		"registrations/records", "registrations/ids", "registrations/unique",
	} {
		tests["without one of the "+table] = func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(table))
			return b.Delete(firstKey(b))
		}
	}
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			path := testFile(t)
			alter(t, path, harm)
			r, err := File(path).Check(t.Context(), nil)
			if err != nil || r.OK() {
				t.Errorf("%+v, %v", r, err)
			}
			for _, line := range r.Problems {
				if strings.ContainsAny(line, "\n\x00") || strings.Contains(line, "runtime error") {
					t.Errorf("not a line: %q", line)
				}
			}
		})
	}
}

// Deleting an account deletes its records from every table, and no others.
func TestDeletedAccountLeavesNothing(t *testing.T) {
	path := testFile(t)
	db := openAt(t, path, Options{})
	a, err := db.Accounts().ByName(t.Context(), nameOf(1))
	noError(t, err)
	noError(t, db.Accounts().Delete(t.Context(), a.ID), db.Close())
	r, err := File(path).Check(t.Context(), nil)
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for what, want := range map[string]int{
		"accounts": 2, "administrators": 1, "sessions": 4, "resets": 2, "events": 2,
		"registrations": 4,
	} {
		if got := r.Count(what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	alter(t, path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				if bytes.Contains(key, a.ID[:]) || bytes.Contains(value, a.ID[:]) {
					t.Errorf("%s still has %x", bucket, key)
				}
				return nil
			})
		})
	})
}
