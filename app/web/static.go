package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/public"
)

// static serves a file of public/. Its address changes with its content, so it
// may be kept for good.
func (s *Site) static(c *fiber.Ctx, _ Visitor) error {
	files, err := s.public()
	if err != nil {
		return err
	}
	file, ok := files.ByURL(c.Path())
	if !ok {
		return fiber.ErrNotFound
	}
	return send(c, file, "public, max-age=31536000, immutable")
}

// robots serves robots.txt, whose address is fixed.
func (s *Site) robots(c *fiber.Ctx, _ Visitor) error {
	files, err := s.public()
	if err != nil {
		return err
	}
	file, ok := files.ByName("robots.txt")
	if !ok {
		return fiber.ErrNotFound
	}
	return send(c, file, "public, max-age=3600")
}

func send(c *fiber.Ctx, file public.File, cache string) error {
	c.Set(fiber.HeaderCacheControl, cache)
	c.Set(fiber.HeaderContentType, file.Type)
	c.Vary(fiber.HeaderAcceptEncoding)
	if file.Gzip != nil && c.Context().Request.Header.HasAcceptEncoding("gzip") {
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(file.Gzip)
	}
	return c.Send(file.Body)
}
