package web

import "github.com/gofiber/fiber/v2"

// index is the start page: it says who you are.
func (s *Site) index(c *fiber.Ctx, v Visitor) error {
	p := s.page(c, v, "")
	p.Bare = true
	return c.Render("index", p)
}
