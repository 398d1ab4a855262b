package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
)

// Attempt is a login attempt.
type Attempt struct {
	Name     string
	Password string
	From     netip.Addr
	Known    string // the value of Accounts.Known that this browser sent, or empty
}

// LogIn checks name and password and returns the account. If the name is
// unknown, the password wrong, the account disabled or without a password, or
// its hash unreadable, LogIn takes the same time and returns the same *Error of
// kind Wrong (ASVS 6.3.8). Other kinds are TooMany and Busy.
//
// The account may change after LogIn returns. The transaction that begins a
// session must check that the account still exists, is not disabled and has the
// returned PasswordVersion.
func (a *Accounts) LogIn(ctx context.Context, attempt Attempt) (Account, error) {
	folded := foldedOrNot(attempt.Name)
	account, err := a.store.ByName(ctx, folded)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	}
	known := attempt.Known
	if !a.isKnown(known, account) {
		known = ""
	}
	try, err := a.throttle.logIn(folded, attempt.From, known)
	if err != nil {
		return Account{}, err
	}
	proved, rehash, err := a.verifyPassword(ctx, account, attempt.Password)
	if err != nil {
		try.undo()
		return Account{}, err
	}
	if !proved {
		return Account{}, errWrongLogin
	}
	now, err := a.store.LoggedIn(ctx, account, a.now(), rehash)
	switch {
	case errors.Is(err, ErrChanged), errors.Is(err, ErrNotFound):
		return Account{}, errWrongLogin
	case err != nil:
		try.undo()
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	}
	try.succeeded()
	return now, nil
}

// foldedOrNot returns the folded form of a valid name. For invalid input it
// returns a string that is no folded name, because it begins with a space. The
// string is a hash of the input, so that the throttle keeps inputs apart
// without storing them.
func foldedOrNot(typed string) string {
	name, err := ParseName(typed)
	if err != nil {
		sum := sha256.Sum256([]byte(typed))
		return " " + hex.EncodeToString(sum[:16])
	}
	return name.Folded()
}

// LogInDev returns the account of that name without checking a password. It
// creates the account if it does not exist. LogInDev fails unless Settings.Dev
// is set. It does not update LastLogin.
func (a *Accounts) LogInDev(ctx context.Context, name string) (Account, error) {
	if !a.dev {
		return Account{}, errors.New("accounts: log in without a password: not in dev")
	}
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	account, err := a.store.ByName(ctx, n.Folded())
	if errors.Is(err, ErrNotFound) {
		account = a.newAccount(n)
		if err = a.store.Create(ctx, account); errors.Is(err, ErrTaken) {
			account, err = a.store.ByName(ctx, n.Folded()) // created concurrently
		}
	}
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("accounts: log in: %w", err)
	case account.Disabled:
		return Account{}, errWrongLogin
	}
	return account, nil
}

var (
	errWrongLogin    error = &Error{Kind: Wrong, Message: "The name or the password is not right."}
	errWrongPassword error = &Error{Kind: Wrong, Field: FieldCurrentPassword, Message: "The password is not right."}
)
