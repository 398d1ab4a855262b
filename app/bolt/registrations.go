package bolt

import (
	"latchkey/app/internal/kv"
	"latchkey/app/registrations"
)

var registrationTable = kv.Owned[registrations.Registration]{
	Name:   "registrations",
	Unique: func(r *registrations.Registration) string { return r.Sport },
	Order:  func(r *registrations.Registration) []byte { return []byte(r.Sport) },
}

// Registrations returns the registration store.
func (db *DB) Registrations() registrations.Store {
	return ownedStore[registrations.Registration, registrations.ID]{db, registrationTable}
}
