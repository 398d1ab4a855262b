package web

import "github.com/gofiber/fiber/v2"

// index is the start page: it says who you are.
func (s *Site) index(c *fiber.Ctx, v Visitor) error {
	return c.Render("index", s.page(c, v, ""))
}
