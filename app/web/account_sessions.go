package web

import (
	"encoding/hex"
	"errors"
	"math"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/mileusna/useragent"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// sessionsShown is the maximum number of sessions in a list. It shows the newest, and
// always the visitor's own.
const sessionsShown = 100

// sessionRow is one browser that is logged in.
type sessionRow struct {
	Key     string // in the address that ends it
	Browser string // in plain words
	Address string
	Began   time.Time // UTC
	Seen    time.Time
	Here    bool // whether it is the visitor's own
}

// sessionRows lists where an account is logged in (OWASP ASVS 7.5.2), and counts
// what is not in the list.
func (s *Site) sessionRows(c *fiber.Ctx, id accounts.ID) (rows []sessionRow, more int, err error) {
	list, err := s.sessions.List(c.UserContext(), sessions.Account(id), math.MaxInt)
	if err != nil {
		return nil, 0, err
	}
	here := s.sessions.Key(c)
	for _, one := range list {
		if one.Key != here && len(rows) >= sessionsShown {
			continue
		}
		rows = append(rows, sessionRow{
			Key:     hex.EncodeToString(one.Key[:]),
			Browser: browser(one.Agent),
			Address: one.Address,
			Began:   one.Began,
			Seen:    one.Seen,
			Here:    one.Key == here,
		})
	}
	return rows, len(list) - len(rows), nil
}

// browser returns a readable form of a User-Agent.
func browser(agent string) string {
	ua := useragent.Parse(agent)
	switch {
	case ua.Name != "" && ua.OS != "":
		return validUTF8(ua.Name + " on " + ua.OS)
	case ua.Name != "":
		return validUTF8(ua.Name)
	}
	return "An unknown browser"
}

// endSession ends one of the visitor's own sessions. The key of somebody else's session
// is treated as unknown.
func (s *Site) endSession(c *fiber.Ctx, v Visitor) error {
	decoded, err := hex.DecodeString(c.Params("key"))
	if err != nil || len(decoded) != len(sessions.Key{}) {
		return fiber.ErrNotFound
	}
	key := sessions.Key(decoded)
	here := s.sessions.Here(c, key)
	if here {
		key = s.sessions.Key(c)
	}
	err = s.sessions.EndOne(c.UserContext(), sessions.Account(v.ID), key)
	s.eventBy(c, v, "session ended", err)
	if errors.Is(err, sessions.ErrEnded) {
		return fiber.ErrNotFound
	}
	if err != nil {
		return err
	}
	if here {
		return seeOther(c, "/")
	}
	return s.done(c, flashSession, "/account")
}

// endOthers ends every session of the visitor but this one.
func (s *Site) endOthers(c *fiber.Ctx, v Visitor) error {
	err := s.sessions.EndOthers(c.UserContext(), sessions.Account(v.ID), s.sessions.Key(c))
	s.eventBy(c, v, "other sessions ended", err)
	if err != nil {
		return err
	}
	return s.done(c, flashOthers, "/account")
}
