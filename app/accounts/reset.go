package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// ResetFor is how long the secret of a reset may be used.
const ResetFor = time.Hour

// StartReset returns a secret that lets its bearer choose the account's password
// once, within ResetFor. A former secret no longer works. The store keeps only
// its SHA-256: 256 random bits need no slow hash. The account's password, if it
// has one, works until then (ASVS 6.4.1, 6.4.6). The refusal is ErrNotFound.
func (s *Accounts) StartReset(ctx context.Context, id ID) (secret string, err error) {
	var random [32]byte
	rand.Read(random[:])
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	if err := s.store.StartReset(ctx, id, sha256.Sum256([]byte(secret)), s.now().Add(ResetFor)); err != nil {
		return "", fmt.Errorf("accounts: start reset: %w", err)
	}
	return secret, nil
}

// CheckReset returns the account whose password the secret may set, or ErrReset.
// It uses nothing up.
func (s *Accounts) CheckReset(ctx context.Context, secret string) (Account, error) {
	a, err := s.store.ByReset(ctx, sha256.Sum256([]byte(secret)), s.now())
	if err != nil {
		return Account{}, fmt.Errorf("accounts: check reset: %w", err)
	}
	return a, nil
}

// Reset sets the password of the account, uses the secret up, and ends all
// sessions of the account. A password that is refused leaves the secret as it
// was. It returns the account as it is now, which may be logged in at once. The
// refusals are ErrReset, Invalid for the password, and Busy.
func (s *Accounts) Reset(ctx context.Context, secret, chosen string) (Account, error) {
	a, err := s.CheckReset(ctx, secret) // before the costly work
	if err != nil {
		return Account{}, err
	}
	password, err := s.checkPassword(ctx, chosen, a.Name)
	if err != nil {
		return Account{}, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	a, err = s.store.Reset(ctx, sha256.Sum256([]byte(secret)), hash, s.now())
	if err != nil {
		return Account{}, fmt.Errorf("accounts: reset: %w", err)
	}
	return a, nil
}
