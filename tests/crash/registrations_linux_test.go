package crash

import (
	"testing"

	"latchkey/tests/rig"
)

// checkRegistrations tries to register. The registration must exist if that
// succeeds, and must not if the answer is 503.
func (p *logins) checkRegistrations(t *testing.T) {
	t.Helper()
	n := some
	for name, cookie := range p.cookies {
		if n--; n < 0 {
			return
		}
		b := &rig.Browser{Line: p.line, Cookie: cookie}
		before, err := b.Get("/registrations")
		if err != nil {
			t.Fatal(err)
		}
		sports, err := before.Registrations()
		if err != nil {
			t.Fatal(err)
		}
		if _, there := sports["Climbing"]; there {
			continue
		}
		answer, err := b.Post("/registrations", "sport=Climbing")
		if err != nil {
			t.Fatal(err)
		}
		after, err := b.Get("/registrations")
		if err != nil {
			t.Fatal(err)
		}
		sports, err = after.Registrations()
		_, there := sports["Climbing"]
		if err != nil || answer.Status != 303 && answer.Status != 503 || there != (answer.Status == 303) {
			t.Fatalf("%s registers: status %d, registered: %v, %v", name, answer.Status, there, err)
		}
	}
}
