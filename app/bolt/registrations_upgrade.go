package bolt

import (
	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/registrations"
)

// convertRegistration moves a registration of format 2 into its table. Its key
// was the owner's id and the sport; its content was its id and its time in
// nanoseconds.
func convertRegistration(tx *kv.Tx, key, record []byte) error {
	content, err := kv.Unseal("a registration", recordVersion1, key, record)
	if err == nil && (len(content) != 16+8 || len(key) <= len(accounts.ID{})) {
		err = errTruncated
	}
	if err != nil {
		return err
	}
	id := registrations.ID(content)
	err = registrationTable.Insert(tx, registrations.Registration{
		ID:    id,
		Owner: accounts.ID(key),
		Sport: string(key[len(accounts.ID{}):]),
		At:    fromNanoseconds(content[16:]),
	})
	if ids := tx.Tx.Bucket([]byte("registration ids")); err == nil && ids != nil {
		err = ids.Delete(id[:])
	}
	if err != nil {
		return err
	}
	return tx.Tx.Bucket([]byte("registrations")).Delete(key)
}
