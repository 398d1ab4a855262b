package bolt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/registrations"
	registrationstest "latchkey/app/registrations/storetest"
)

func TestRegistrations(t *testing.T) {
	registrationstest.Test(t, func(t *testing.T) registrationstest.Stores {
		db := openNew(t)
		return registrationstest.Stores{Store: db.Registrations(), Accounts: db.Accounts()}
	})
}

var sports = []string{"Climbing", "Football"}

// insertRegistrations gives an account a registration for each of sports.
func insertRegistrations(t testing.TB, db *DB, owner accounts.ID) {
	t.Helper()
	for _, sport := range sports {
		r := registrations.Registration{Owner: owner, Sport: sport, At: time.Now().UTC().Truncate(time.Microsecond)}
		rand.Read(r.ID[:])
		noError(t, db.Registrations().Insert(t.Context(), r))
	}
}

// readRegistrations returns errWrong if an account has a registration that
// insertRegistrations did not create.
func readRegistrations(t testing.TB, db *DB, owner accounts.ID) error {
	list, _, err := db.Registrations().ListByOwner(t.Context(), owner, "", 10)
	for _, r := range list {
		if r.Owner != owner || !slices.Contains(sports, r.Sport) {
			return fmt.Errorf("%w: a registration of %s is %+v", errWrong, owner, r)
		}
	}
	return err
}

func deleteRegistrations(t testing.TB, db *DB, owner accounts.ID) error {
	list, _, err := db.Registrations().ListByOwner(t.Context(), owner, "", 10)
	for _, r := range list {
		err = errors.Join(err, db.Registrations().Delete(t.Context(), r.ID))
	}
	return err
}

// hasOldRegistrations checks the registrations of a file in testdata.
func hasOldRegistrations(t *testing.T, db *DB, made time.Time, ann, bob, carol accounts.ID) {
	t.Helper()
	for owner, want := range map[accounts.ID][]string{ann: {"Climbing", "Football"}, bob: {"Swimming"}, carol: nil} {
		list, next, err := db.Registrations().ListByOwner(t.Context(), owner, "", 10)
		noError(t, err)
		var got []string
		for _, r := range list {
			got = append(got, r.Sport)
			if again, err := db.Registrations().Get(t.Context(), r.ID); err != nil || again != r || r.Owner != owner || r.Note != "" || r.At.Before(made.Add(-time.Minute)) {
				t.Errorf("%+v, by its id %+v, %v", r, again, err)
			}
		}
		if !slices.Equal(got, want) || next != "" {
			t.Errorf("registrations %q, want %q", got, want)
		}
	}
}

// putOldRegistrations stores registrations of format 2. The first one is
// damaged.
func putOldRegistrations(t *testing.T, tx *bbolt.Tx, owners []accounts.Account, at time.Time) {
	t.Helper()
	for _, name := range []string{"registrations/records", "registrations/ids", "registrations/unique"} {
		noError(t, tx.DeleteBucket([]byte(name)))
	}
	records, err := tx.CreateBucket([]byte("registrations"))
	noError(t, err)
	ids, err := tx.CreateBucket([]byte("registration ids"))
	noError(t, err)
	for i, a := range owners {
		for j, sport := range sports {
			key := append(a.ID[:], sport...)
			var id [16]byte
			binary.BigEndian.PutUint64(id[:], uint64(2*i+j+1))
			record := append(make([]byte, kv.SealSize), id[:]...)
			record = kv.Seal(recordVersion1, key, binary.BigEndian.AppendUint64(record, uint64(at.UnixNano())))
			if i == 0 && j == 0 {
				record[len(record)-1] ^= 1
			}
			noError(t, records.Put(key, record), ids.Put(id[:], key))
		}
	}
}

// hasUpgradedRegistrations checks the registrations of account i, without the
// damaged one.
func hasUpgradedRegistrations(t *testing.T, db *DB, owner accounts.ID, i int) {
	t.Helper()
	want := len(sports)
	if i == 0 {
		want--
	}
	if list, _, err := db.Registrations().ListByOwner(t.Context(), owner, "", 10); err != nil || len(list) != want {
		t.Fatalf("registrations of account %d: %+v, %v", i, list, err)
	}
}

// A damaged registration can be deleted, and does not prevent deleting its
// account.
func TestDamagedRegistrationCanBeRemoved(t *testing.T) {
	for name, remove := range map[string]func(*DB, accounts.ID, registrations.ID) error{
		"by itself": func(db *DB, _ accounts.ID, id registrations.ID) error {
			return db.Registrations().Delete(t.Context(), id)
		},
		"with its account": func(db *DB, owner accounts.ID, _ registrations.ID) error {
			return db.Accounts().Delete(t.Context(), owner)
		},
	} {
		path := testFile(t)
		db := openAt(t, path, Options{})
		a, err := db.Accounts().ByName(t.Context(), nameOf(1))
		noError(t, err)
		list, _, err := db.Registrations().ListByOwner(t.Context(), a.ID, "", 10)
		noError(t, err)
		update(t, db, func(tx *kv.Tx) error {
			b := tx.Bucket("registrations/records")
			key := bytes.Clone(tx.Get("registrations/ids", list[0].ID[:]))
			record := bytes.Clone(b.Get(key))
			record[len(record)-1] ^= 1
			return b.Put(key, record)
		})
		if _, err := db.Registrations().Get(t.Context(), list[0].ID); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("it is read: %v", err)
		}
		if got, err := db.Registrations().Get(t.Context(), list[1].ID); err != nil || got != list[1] {
			t.Errorf("the other: %+v, %v", got, err)
		}
		if err := remove(db, a.ID, list[0].ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		noError(t, db.Close())
		if r, err := File(path).Check(t.Context(), nil); err != nil || !r.OK() {
			t.Errorf("%s, the check: %+v, %v", name, r, err)
		}
	}
}
