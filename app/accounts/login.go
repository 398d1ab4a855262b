package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
)

// Attempt is what somebody sends to log in.
type Attempt struct {
	Name     string
	Password string
	From     netip.Addr
	Known    string // what Known returned to this browser before, or empty
}

// LogIn returns the account that the attempt authenticates. Whether the name is
// unknown, the password wrong, the account disabled, without a password, or its
// hash unreadable: the work is the same and so is the *Error, of kind Wrong
// (ASVS 6.3.8). Its other refusals are TooMany and Busy.
//
// The account may have changed once LogIn has returned. Whoever begins a session
// must check, in the transaction that does so, that the account is there, not
// disabled, and has the PasswordVersion that was returned.
func (s *Accounts) LogIn(ctx context.Context, attempt Attempt) (Account, error) {
	folded := foldedOrNot(attempt.Name)
	a, err := s.store.ByName(ctx, folded)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	}
	known := attempt.Known
	if !s.isKnown(known, a) {
		known = ""
	}
	try, err := s.throttle.logIn(folded, attempt.From, known)
	if err != nil {
		return Account{}, err
	}
	ok, rehash, err := s.verify(ctx, a, attempt.Password)
	if err != nil {
		try.undo()
		return Account{}, err
	}
	if !ok {
		return Account{}, errWrongLogIn
	}
	now, err := s.store.LoggedIn(ctx, a, s.now(), rehash)
	switch {
	case errors.Is(err, ErrChanged), errors.Is(err, ErrNotFound):
		return Account{}, errWrongLogIn
	case err != nil:
		try.undo()
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	}
	try.passed()
	return now, nil
}

// foldedOrNot returns the folded form of a name. For anything else it returns a
// form that no account can have, because a folded name does not begin with a
// space. That form is short valid text, and differs for each text that was typed,
// so that the throttle tells them apart.
func foldedOrNot(typed string) string {
	name, err := ParseName(typed)
	if err != nil {
		sum := sha256.Sum256([]byte(typed))
		return " " + hex.EncodeToString(sum[:16])
	}
	return name.Folded()
}

// LogInDev returns the account of that name without a password, and makes it if
// there is none. It is for one's own machine: a fault unless Settings.Dev is
// set. It does not note the time of the login, so that it costs one read.
func (s *Accounts) LogInDev(ctx context.Context, name string) (Account, error) {
	if !s.dev {
		return Account{}, errors.New("accounts: log in without a password: not in dev")
	}
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	a, err := s.store.ByName(ctx, n.Folded())
	if errors.Is(err, ErrNotFound) {
		a = s.newAccount(n)
		if err = s.store.Create(ctx, a); errors.Is(err, ErrTaken) {
			a, err = s.store.ByName(ctx, n.Folded()) // somebody was quicker
		}
	}
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	case a.Disabled:
		return Account{}, errWrongLogIn
	}
	return a, nil
}

var (
	errWrongLogIn    error = &Error{Kind: Wrong, Message: "The name or the password is not right."}
	errWrongPassword error = &Error{Kind: Wrong, Field: FieldCurrentPassword, Message: "The password is not right."}
)
