package bolt

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// Report is what Check has found.
type Report struct {
	Accounts       int      `json:"accounts"`
	Administrators int      `json:"administrators"` // enabled
	Sessions       int      `json:"sessions"`       // expired ones that are not swept yet, too
	Registrations  int      `json:"registrations"`
	Resets         int      `json:"resets"`
	Events         int      `json:"events"`
	Problems       []string `json:"problems"` // a line each, no more than mostProblems
	More           int      `json:"more"`     // problems beyond those
}

// Whole reports whether no problem was found.
func (r Report) Whole() bool { return len(r.Problems) == 0 }

// mostProblems is how many problems are told. Where there are so many, the rest
// tells nothing new.
const mostProblems = 100

// Check reads the file at path, changes nothing, and reports whether it is whole:
// its pages, every record, and every index, both ways. It needs a few bytes for
// each page and none for each record. The error is one line that says why it
// could not be checked. While a server has the file, that is ErrInUse.
func Check(ctx context.Context, path string) (r Report, err error) {
	r.Problems = []string{}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("database %s does not exist; name the one you mean with --database", path)
	case err != nil:
		return r, explain(path, err)
	case info.IsDir():
		return r, explain(path, errFolder)
	case info.Size() < int64(2*os.Getpagesize()):
		return r, explain(path, errForeign)
	}
	err = look(path, func(tx *bbolt.Tx) error {
		if err := lookAt(ctx, path, true); err != nil {
			return err
		}
		if err := ours(tx); err != nil {
			return err
		}
		if meta := tx.Bucket(bucketMeta); meta != nil && bytes.Equal(meta.Get(keyFormat), formatOld) {
			return errors.New("was made by an older version of Latchkey; start this one once, which ends its sessions")
		}
		c := checker{ctx: ctx, tx: tx, report: &r}
		return c.all()
	})
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case errors.Is(err, bbolterrors.ErrTimeout):
		return r, fmt.Errorf("database %s %w, or check a copy of the file", path, ErrInUse)
	case errors.Is(err, ErrDamaged):
		r.problem("%v", err) // no page or bucket of which can be trusted
	case err != nil:
		return r, explain(path, err)
	}
	return r, nil
}

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == mostProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// checker checks one transaction.
type checker struct {
	ctx    context.Context
	tx     *bbolt.Tx
	report *Report
}

func (c *checker) all() error {
	if meta := c.tx.Bucket(bucketMeta); meta != nil {
		if key := meta.Get(keySigning); len(key) != 32 {
			c.report.problem("the signing key has %d bytes", len(key))
		}
		if value := meta.Get(keyEntered); value != nil {
			if err := whole("how far sessions are entered", keyEntered, value, 5); err != nil {
				c.report.problem("%v", err)
			}
		}
	}
	for _, walk := range []struct {
		bucket []byte
		check  func(key, value []byte) error
	}{
		{bucketAccounts, c.account},
		{bucketNames, c.name},
		{bucketAdmins, c.administrator},
		{bucketSessions, c.session},
		{bucketOwned, c.owned},
		{bucketResets, c.reset},
		{bucketReset, c.accountReset},
		{bucketRegistrations, c.checkRegistration},
		{bucketRegistrationIDs, c.checkRegistrationID},
		{bucketEvents, c.event},
	} {
		bucket := c.tx.Bucket(walk.bucket)
		if bucket == nil {
			// An older version did not have them all; the next start makes them. One
			// that was there and is missing, ours has refused.
			continue
		}
		cursor := bucket.Cursor()
		n := 0
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			if n++; n%1000 == 0 && c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			if err := walk.check(k, v); err != nil {
				c.report.problem("%s, %s: %v", walk.bucket, hex.EncodeToString(k), err)
			}
		}
	}
	return c.pages()
}

// pages has bbolt check the file itself. It comes last and may, for checkPages
// has come before: bbolt would follow a page that leads to itself for ever.
func (c *checker) pages() error {
	for err := range c.tx.Check() {
		c.report.problem("%v", err)
	}
	return nil
}

// has returns an error unless the bucket has that value under key, or is missing
// itself.
func (c *checker) has(bucket, key, want []byte) error {
	b := c.tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	switch value := b.Get(key); {
	case value == nil:
		return fmt.Errorf("it is not among the %s", bucket)
	case want != nil && !bytes.Equal(value, want):
		return fmt.Errorf("the %s lead elsewhere", bucket)
	}
	return nil
}

// get returns what the bucket has under key, or nil.
func (c *checker) get(bucket, key []byte) []byte {
	b := c.tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	return b.Get(key)
}

func (c *checker) owner(id []byte) (accounts.Account, error) {
	if c.tx.Bucket(bucketAccounts) == nil {
		return accounts.Account{}, accounts.ErrNotFound
	}
	return account(c.tx, id)
}

func (c *checker) account(k, value []byte) error {
	c.report.Accounts++
	if len(k) != len(accounts.ID{}) {
		return errKey
	}
	a, err := decodeAccount(k, value)
	if err != nil {
		return err
	}
	if err := c.has(bucketNames, []byte(a.Name.Folded()), k); err != nil {
		return err
	}
	// An administrator is entered without a value, which Get does not tell from
	// none.
	admins := c.tx.Bucket(bucketAdmins)
	if admins == nil {
		return nil
	}
	entry, _ := admins.Cursor().Seek(k)
	if entered := bytes.Equal(entry, k); entered != (a.Admin && !a.Disabled) {
		return errors.New("the administrators and its flags differ")
	}
	return nil
}

var errKey = errors.New("its key has a wrong length")

func (c *checker) name(k, id []byte) error {
	a, err := c.owner(id)
	if err == nil && a.Name.Folded() != string(k) {
		err = errors.New("it leads to an account of another name")
	}
	return err
}

func (c *checker) administrator(k, _ []byte) error {
	c.report.Administrators++
	a, err := c.owner(k)
	if err == nil && (!a.Admin || a.Disabled) {
		err = errors.New("the account is none")
	}
	return err
}

func (c *checker) session(k, value []byte) error {
	c.report.Sessions++
	r, err := decode(k, value)
	if err != nil || r.Account == (sessions.Account{}) {
		return err
	}
	if _, err := c.owner(r.Account[:]); err != nil {
		return fmt.Errorf("of the account %x: %w", r.Account, err)
	}
	if bytes.Compare(k, entered(c.tx)) >= 0 {
		return nil
	}
	return c.has(bucketOwned, owned(r.Account[:], k), nil)
}

func (c *checker) owned(k, _ []byte) error {
	if len(k) != len(sessions.Account{})+len(sessions.Key{}) {
		return errKey
	}
	id, session := k[:len(sessions.Account{})], k[len(sessions.Account{}):]
	value := c.get(bucketSessions, session)
	if value == nil {
		return errors.New("there is no such session")
	}
	r, err := decode(session, value)
	if err == nil && !bytes.Equal(r.Account[:], id) {
		err = errors.New("the session is of another account")
	}
	return err
}

func (c *checker) reset(k, value []byte) error {
	c.report.Resets++
	if err := whole("a reset", k, value, resetSize); err != nil {
		return err
	}
	if _, err := c.owner(value[5:21]); err != nil {
		return err
	}
	return c.has(bucketReset, value[5:21], k)
}

func (c *checker) accountReset(k, sum []byte) error {
	value := c.get(bucketResets, sum)
	if err := whole("its reset", sum, value, resetSize); err != nil {
		return err
	}
	if !bytes.Equal(value[5:21], k) {
		return errors.New("the reset is of another account")
	}
	return nil
}

func (c *checker) event(k, value []byte) error {
	c.report.Events++
	e, err := decodeEvent(k, value)
	if err == nil {
		_, err = c.owner(e.Account[:])
	}
	return err
}
