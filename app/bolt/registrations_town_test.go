package bolt

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

// twoRegistrations registers an account of town.
func twoRegistrations(db *DB, owner accounts.ID) error {
	for _, sport := range registrations.Sports()[:2] {
		r := registrations.Registration{Owner: owner, Sport: sport, At: time.Now()}
		rand.Read(r.ID[:])
		if err := db.Registrations().Create(r); err != nil {
			return err
		}
	}
	return nil
}

// readRegistrations returns errWrong if one that is read is not right.
func readRegistrations(db *DB, owner accounts.ID) error {
	list, err := db.Registrations().ListOf(owner)
	for _, r := range list {
		if r.Owner != owner || !slices.Contains(registrations.Sports(), r.Sport) {
			return fmt.Errorf("%w: of %s: %+v", errWrong, owner, r)
		}
		_, one := db.Registrations().Get(r.ID)
		err = errors.Join(err, one)
	}
	return err
}

func dropEachRegistration(db *DB, owner accounts.ID) error {
	list, err := db.Registrations().ListOf(owner)
	for _, r := range list {
		err = errors.Join(err, db.Registrations().Delete(r.ID))
	}
	return err
}
