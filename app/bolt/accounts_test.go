package bolt_test

import (
	"testing"

	"latchkey/app/accounts"
	"latchkey/app/accounts/storetest"
)

func TestAccounts(t *testing.T) {
	storetest.Test(t, func(t *testing.T) accounts.Store {
		return open(t, temp(t), limits).Accounts()
	})
}
