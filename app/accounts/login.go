package accounts

import (
	"context"
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

// LogIn returns the account that the attempt proves. Whether the name is
// unknown, the password wrong, the account disabled, without a password, or its
// hash unreadable: the work is the same and so is the *Error, of kind Wrong
// (ASVS 6.3.8). Its other refusals are TooMany and Busy.
//
// The account may have changed once LogIn has returned. Whoever begins a session
// must check, in the transaction that does so, that the account is there, not
// disabled, and has the PasswordChanged that was returned.
func (s *Accounts) LogIn(ctx context.Context, attempt Attempt) (Account, error) {
	folded := foldedOrNot(attempt.Name)
	a, err := s.store.ByName(folded)
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
	proved, rehash, err := s.prove(ctx, a, attempt.Password)
	if err != nil {
		try.undo()
		return Account{}, err
	}
	if !proved {
		return Account{}, errWrongLogIn
	}
	now, err := s.store.LoggedIn(a, s.now(), rehash)
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

// foldedOrNot returns a form that no account has for what is not a name: a
// folded name has no control character.
func foldedOrNot(typed string) string {
	name, err := ParseName(typed)
	if err != nil {
		return "\x00" + typed
	}
	return name.Folded()
}

// LogInDev returns the account of that name without a password, and makes it if
// there is none. It is for one's own machine: a fault unless Settings.Dev is
// set. It does not note the time of the login, so that it costs one read.
func (s *Accounts) LogInDev(name string) (Account, error) {
	if !s.dev {
		return Account{}, errors.New("accounts: log in without a password: not in dev")
	}
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	a, err := s.store.ByName(n.Folded())
	if errors.Is(err, ErrNotFound) {
		a = s.newAccount(n)
		if err = s.store.Create(a); errors.Is(err, ErrTaken) {
			a, err = s.store.ByName(n.Folded()) // somebody was quicker
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
	errWrongLogIn error = &Error{Kind: Wrong, Message: "The name or the password is not right."}
	errWrongProof error = &Error{Kind: Wrong, Message: "The password is not right."}
)
