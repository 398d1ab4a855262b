package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

func overlaid() route { return handle("GET", "/x/:id", owner, overlaidHandler) }

func overlaidLoad(*fiber.Ctx) (string, accounts.ID, error) { return "", accounts.ID{}, nil }

func overlaidServe(*fiber.Ctx, Visitor, string) error { return nil }

func overlaidServeInt(*fiber.Ctx, Visitor, int) error { return nil }

func overlaidHandler(*fiber.Ctx, Visitor) error { return nil }

var _ = []any{overlaid, overlaidLoad, overlaidServe, overlaidServeInt, overlaidHandler}
