package bolt

import (
	"context"

	"latchkey/app/accounts"
)

// Every resource's Store has these methods.
var _ interface {
	Insert(ctx context.Context, r string) error
	Get(ctx context.Context, id accounts.ID) (string, error)
	Update(ctx context.Context, r string) error
	ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) ([]string, string, error)
	Delete(ctx context.Context, id accounts.ID) error
} = ownedStore[string, accounts.ID]{}
