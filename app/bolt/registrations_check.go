package bolt

import (
	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

// checkRegistration checks a registration and that its id leads to it.
func (c *checker) checkRegistration(k, value []byte) error {
	c.report.Registrations++
	if len(k) <= len(accounts.ID{}) {
		return errKey
	}
	r, err := decodeRegistration(k, value)
	if err != nil {
		return err
	}
	if _, err := c.owner(r.Owner[:]); err != nil {
		return err
	}
	return c.has(bucketRegistrationIDs, r.ID[:], k)
}

// checkRegistrationID checks that an id leads to its registration.
func (c *checker) checkRegistrationID(k, _ []byte) error {
	if len(k) != 16 {
		return errKey
	}
	if c.tx.Bucket(bucketRegistrations) == nil {
		return registrations.ErrNotFound
	}
	_, _, err := registration(c.tx, [16]byte(k))
	return err
}
