package bolt_test

import (
	"testing"

	"latchkey/app/registrations/storetest"
)

func TestRegistrations(t *testing.T) {
	storetest.Test(t, func(t *testing.T) storetest.Stores {
		db := open(t, temp(t), limits)
		return storetest.Stores{Store: db.Registrations(), Accounts: db.Accounts()}
	})
}
