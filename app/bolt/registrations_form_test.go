package bolt

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
)

// The record of the account itself, which begins like the keys of its
// registrations and has a right checksum, is not taken for one of them when a
// damaged page puts it there.
//
// ASVS 1.5.2
func TestAnAccountIsNoRegistration(t *testing.T) {
	db := openTest(t)
	a := accounts.Account{ID: accounts.ID{1}, Name: accounts.StoredName("Ann", "ann"), Created: time.Now(), PasswordChanged: time.Now(), Hash: "hash"}
	if err := db.Accounts().Create(a); err != nil {
		t.Fatal(err)
	}
	err := db.writes.do(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRegistrations).Put(a.ID[:], encodeAccount(a))
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := db.Registrations().ListOf(a.ID); !errors.Is(err, ErrDamaged) || list != nil {
		t.Errorf("%+v, %v", list, err)
	}
}
