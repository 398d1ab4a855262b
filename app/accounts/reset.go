package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// ResetFor is how long the secret of a reset is valid.
const ResetFor = time.Hour

// StartReset returns a secret that may set the account's password once, within
// ResetFor. An earlier secret becomes invalid. The present password stays valid
// until the reset (ASVS 6.4.1, 6.4.6). The store keeps only the secret's
// SHA-256: 256 random bits need no slow hash. It returns ErrNotFound if there
// is no such account.
func (a *Accounts) StartReset(ctx context.Context, id ID) (secret string, err error) {
	var random [32]byte
	rand.Read(random[:])
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	if err := a.store.StartReset(ctx, id, sha256.Sum256([]byte(secret)), a.now().Add(ResetFor)); err != nil {
		return "", fmt.Errorf("accounts: start reset: %w", err)
	}
	return secret, nil
}

// CheckReset returns the account whose password the secret may set, or
// ErrReset. The secret stays valid.
func (a *Accounts) CheckReset(ctx context.Context, secret string) (Account, error) {
	account, err := a.store.ByReset(ctx, sha256.Sum256([]byte(secret)), a.now())
	if err != nil {
		return Account{}, fmt.Errorf("accounts: check reset: %w", err)
	}
	return account, nil
}

// Reset sets the account's password, invalidates the secret and ends all
// sessions of the account. It returns the updated account, which the caller may
// log in. The secret stays valid if the password is rejected. Errors are
// ErrReset and an *Error of kind Invalid, for the password, or Busy.
func (a *Accounts) Reset(ctx context.Context, secret, chosen string) (Account, error) {
	account, err := a.CheckReset(ctx, secret) // before the expensive hash
	if err != nil {
		return Account{}, err
	}
	password, err := a.checkPassword(ctx, chosen, account.Name)
	if err != nil {
		return Account{}, err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	account, err = a.store.Reset(ctx, sha256.Sum256([]byte(secret)), hash, a.now())
	if err != nil {
		return Account{}, fmt.Errorf("accounts: reset: %w", err)
	}
	return account, nil
}
