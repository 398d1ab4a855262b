package main

import (
	"errors"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
	"latchkey/config"
)

// open opens the database and the accounts in it.
func open(settings config.Settings) (*bolt.DB, *accounts.Accounts, error) {
	db, err := bolt.Open(settings.Database, sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime})
	if err != nil {
		return nil, nil, err
	}
	people, err := accounts.New(db.Accounts(), accounts.Settings{
		Title:       settings.Title,
		MinPassword: settings.PasswordMin,
		Dev:         settings.Dev,
	}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, people, nil
}
