package web

import "github.com/gofiber/fiber/v2"

// index is the start page: it says who you are.
func (s *Site) index(c *fiber.Ctx, v Visitor) error {
	p := s.page(c, v, "")
	p.HideAuthLinks = true
	return c.Render("index", p)
}
