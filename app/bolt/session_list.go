package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// maxListed is the maximum number of sessions of one account that List reads.
const maxListed = 10_000

// List reads sessions in the order of their ids and sorts them by their
// beginning, because rotation gives an old session a new id. If the account has
// more than maxListed sessions, List reads those with the newest ids.
func (s sessionStore) List(ctx context.Context, account sessions.Account, limit int) (list []sessions.Session, err error) {
	err = s.kv.View(ctx, func(tx *kv.Tx) error {
		keys, err := sessionKeys(tx, kv.ID(account))
		if err != nil {
			return err
		}
		for _, k := range keys[max(0, len(keys)-maxListed):] {
			r, err := s.read(tx, k)
			if errors.Is(err, sessions.ErrEnded) {
				continue // expired and not swept yet, or damaged, which Read and Check report
			}
			if err == nil && r.Account != account {
				err = fmt.Errorf("%w: a session in the index of another account", store.ErrDamaged)
			}
			if err != nil {
				return err
			}
			r.Key, r.Name, r.Admin = sessions.Key(k), "", false
			list = append(list, r.Session)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b sessions.Session) int { return b.Began.Compare(a.Began) })
	return list[:min(limit, len(list))], nil
}

// renewal records when a session was last seen.
type renewal struct {
	key  sessions.Key
	seen time.Time
}

func (s sessionStore) Renew(_ context.Context, k sessions.Key, seen time.Time) {
	s.renewals.Add(renewal{k, seen})
}

// renew writes renewals. It ignores sessions that have ended and those that
// were renewed recently.
func (db *DB) renew(tx *kv.Tx, due []renewal) error {
	for _, d := range due {
		r, err := db.read(tx, d.key[:])
		if err != nil || d.seen.Sub(r.Seen) < db.limits.Renewal() {
			continue
		}
		r.Seen = d.seen
		r.expires = db.limits.End(r.Began, r.Seen)
		if err := putSession(tx, d.key[:], encodeSession(d.key[:], r)); err != nil {
			return err
		}
	}
	return nil
}
