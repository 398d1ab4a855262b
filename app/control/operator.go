// Package control executes the operator's commands in the process that has the
// database open: in the command itself or, through a Unix socket beside the
// file, in a running server.
package control

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/app/accounts"
)

// Operator executes requests. Direct works on the database, and Client sends
// them to a running server; both return the same answers and errors. An error
// is an *accounts.Error, or an internal failure. Both are one line for the
// operator.
type Operator interface {
	Do(context.Context, Request) (Answer, error)
}

// Action is the kind of a request.
type Action string

// All actions but Add and List work on the account with the requested name.
// Their answer contains the account after the change.
const (
	Add     Action = "add"     // create an account
	List    Action = "list"    // return a page of accounts in the order of their names
	Show    Action = "show"    // return the account
	Admin   Action = "admin"   // grant administrator rights
	Disable Action = "disable" // disable the account and end its sessions
	Reset   Action = "reset"   // return a link with which the owner chooses a password
	Logout  Action = "logout"  // end all sessions
	Remove  Action = "remove"  // delete the account; the answer contains it as it was
)

// Request is an operator's request.
type Request struct {
	Action   Action `json:"action"`
	Name     string `json:"name,omitempty"`     // the account's name as typed
	Off      bool   `json:"off,omitempty"`      // Admin, Disable: do the opposite
	Admin    bool   `json:"admin,omitempty"`    // Add: with administrator rights
	Link     bool   `json:"link,omitempty"`     // Add: return a reset link instead of setting a password
	Password string `json:"password,omitempty"` // Add without Link
	Search   string `json:"search,omitempty"`   // List: prefix of the names
	After    string `json:"after,omitempty"`    // List: Next of the previous page
}

// Answer is the result of a request.
type Answer struct {
	Account  Account   `json:"account,omitzero"`
	Link     string    `json:"link,omitempty"`     // a reset link, valid once and for accounts.ResetFor
	Accounts []Account `json:"accounts,omitempty"` // List
	Next     string    `json:"next,omitempty"`     // List: cursor for the next page; empty on the last one
}

// Account describes an account to the operator, without its password hash.
// Times are UTC; the zero time means "never".
type Account struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"` // without terminal control characters
	Admin           bool      `json:"admin"`
	Disabled        bool      `json:"disabled"`
	Created         time.Time `json:"created"`
	LastLogin       time.Time `json:"last_login,omitzero"`
	PasswordChanged time.Time `json:"password_changed,omitzero"` // zero if the account has no password
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

// printable replaces characters in a name that could control a terminal. Valid
// names contain none; this is a second line of defence. Zero-width joiner and
// non-joiner stay: they are part of the spelling of some languages.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\u200c' || r == '\u200d' {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// maxString is the maximum length of a string in a request, in bytes.
const maxString = 8 << 10

// check rejects strings that JSON would change, so that Direct and Client
// return the same answers.
func (r Request) check() error {
	for _, text := range []string{r.Name, r.Password, r.Search, r.After} {
		if len(text) > maxString {
			return &accounts.Error{Kind: accounts.Invalid, Message: "What was typed is too long."}
		}
		if !utf8.ValidString(text) {
			return &accounts.Error{Kind: accounts.Invalid, Message: "What was typed is not valid text."}
		}
	}
	return nil
}
