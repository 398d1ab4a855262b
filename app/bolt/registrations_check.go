package bolt

import "latchkey/app/accounts"

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
	if _, err := account(c.tx, r.Owner[:]); err != nil {
		return err
	}
	return c.has(bucketRegistrationIDs, r.ID[:], k)
}

// checkRegistrationID checks that an id leads to its registration.
func (c *checker) checkRegistrationID(k, _ []byte) error {
	if len(k) != 16 {
		return errKey
	}
	_, _, err := registration(c.tx, [16]byte(k))
	return err
}
