// Package control does what the operator's commands ask, in the process that
// holds the database: the command itself, or a running server, which it then
// reaches through a socket beside the file.
package control

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/app/accounts"
)

// Operator does what the operator asks. Direct does it itself, Client asks a
// running server, and both give the same answers and the same errors. An error
// is an *accounts.Error, which is a refusal, or a fault; both are one line fit
// for the operator.
type Operator interface {
	Do(context.Context, Request) (Answer, error)
}

// Action is what to do.
type Action string

// The actions. All but Add and List are about the account of a name, which must
// exist, and answer with that account as it is afterwards.
const (
	Add     Action = "add"     // make an account
	List    Action = "list"    // a page of the accounts, in the order of their names
	Show    Action = "show"    // change nothing
	Admin   Action = "admin"   // make it an administrator
	Disable Action = "disable" // let it log in no more, and end its sessions
	Reset   Action = "reset"   // let its owner choose a password
	Logout  Action = "logout"  // end its sessions
	Remove  Action = "remove"  // remove it; the answer says what it was
)

// Request is what the operator asks.
type Request struct {
	Action   Action `json:"action"`
	Name     string `json:"name,omitempty"`     // of the account, as typed
	Off      bool   `json:"off,omitempty"`      // Admin, Disable: the contrary
	Admin    bool   `json:"admin,omitempty"`    // Add: an administrator
	Link     bool   `json:"link,omitempty"`     // Add: a link, as for Reset, in place of a password
	Password string `json:"password,omitempty"` // Add, without Link
	Search   string `json:"search,omitempty"`   // List: how the names begin
	After    string `json:"after,omitempty"`    // List: Next of the page before
}

// Answer is what came of a request.
type Answer struct {
	Account  Account   `json:"account,omitzero"`
	Link     string    `json:"link,omitempty"`     // works once, for accounts.ResetFor
	Accounts []Account `json:"accounts,omitempty"` // List
	Next     string    `json:"next,omitempty"`     // List: for the next page; empty: there is none
}

// Account is what the operator sees of an account: never a secret. Times
// are UTC; one that has not come yet is zero.
type Account struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"` // fit for a terminal
	Admin           bool      `json:"admin"`
	Disabled        bool      `json:"disabled"`
	Created         time.Time `json:"created"`
	LastLogin       time.Time `json:"last_login,omitzero"`
	PasswordChanged time.Time `json:"password_changed,omitzero"` // zero: it has no password yet
}

func describe(a accounts.Account) Account {
	return Account{
		ID:              a.ID.String(),
		Name:            printable(a.Name.String()),
		Admin:           a.Admin,
		Disabled:        a.Disabled,
		Created:         a.Created,
		LastLogin:       a.LastLogin,
		PasswordChanged: a.PasswordChanged,
	}
}

// printable takes from a name what would steer a terminal. The rules for names
// let nothing of the kind in, but this does not depend on them. The two joiners
// are invisible and belong to the spelling of some languages.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\u200c' || r == '\u200d' {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// maxText is more than any text of a request may have, in bytes.
const maxText = 8 << 10

// check refuses what does not pass through the socket as it is, so that the
// answer is the same without one.
func (r Request) check() error {
	for _, text := range []string{r.Name, r.Password, r.Search, r.After} {
		if len(text) > maxText {
			return &accounts.Error{Kind: accounts.Invalid, Message: "What was typed is too long."}
		}
		if !utf8.ValidString(text) {
			return &accounts.Error{Kind: accounts.Invalid, Message: "What was typed is not valid text."}
		}
	}
	return nil
}
