package bolt

import (
	"path/filepath"
	"testing"
	"time"

	"latchkey/app/accounts"
	accountstest "latchkey/app/accounts/storetest"
	"latchkey/app/sessions"
	sessionstest "latchkey/app/sessions/storetest"
)

func TestAccounts(t *testing.T) {
	accountstest.Test(t, func(t *testing.T) accounts.Store { return openNew(t).Accounts() })
}

func TestSessions(t *testing.T) {
	sessionstest.Test(t, func(t *testing.T, dir string, limits sessions.Limits, now func() time.Time) sessionstest.Stores {
		db := openAt(t, filepath.Join(dir, "x.db"), Options{Limits: limits, Now: now})
		return sessionstest.Stores{Sessions: db.Sessions(), Accounts: db.Accounts(), Close: db.Close}
	})
}

func TestEvents(t *testing.T) {
	accountstest.TestEvents(t, func(t *testing.T, dir string, now func() time.Time) accountstest.EventStores {
		db := openAt(t, filepath.Join(dir, "x.db"), Options{Now: now})
		return accountstest.EventStores{Events: db.Events(), Accounts: db.Accounts(), Close: db.Close}
	})
}
