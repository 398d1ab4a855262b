package web

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
)

// What the pages of a resource share.

// loadByID loads the resource with the id in the URL. A malformed id gets the same error
// as an unknown one.
func loadByID[T any, ID ~[16]byte](c *fiber.Ctx, get func(context.Context, ID) (T, error)) (thing T, err error) {
	id, err := accounts.ParseID(c.Params("id"))
	if err != nil {
		return thing, store.ErrNotFound
	}
	return get(c.UserContext(), ID(id))
}

// backTo returns where a visitor sees the list that something is in: own for its
// owner, and the owner's page in the back office for an administrator.
func backTo(v Visitor, owner accounts.ID, own string) string {
	if v.ID == owner {
		return own
	}
	return adminAccount(owner)
}

// aboutOwned is what the log says about something that is owned.
func aboutOwned(kind string, id fmt.Stringer, owner accounts.ID) []slog.Attr {
	return []slog.Attr{slog.String(kind, id.String()), slog.String("owner", owner.String())}
}
