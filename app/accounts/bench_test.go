package accounts_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"latchkey/app/accounts"
)

// BenchmarkUnknownName compares the time that it takes to refuse an unknown
// name, and a disabled account, with that for a wrong password (ASVS 6.3.8).
// The ratios of the medians should be 1.
func BenchmarkUnknownName(b *testing.B) {
	store := newMemory()
	s, err := accounts.New(b.Context(), store, accounts.Settings{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	kinds := []string{"known", "unknown", "disabled"}
	took := make(map[string][]time.Duration)
	n := 0
	for b.Loop() {
		// Rotate the order: earlier calls influence the time of later ones.
		kinds = append(kinds[1:], kinds[0])
		for _, kind := range kinds {
			// Use a new name and network each time, so that nothing is throttled.
			n++
			name := fmt.Sprint(kind, n)
			from := netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1})
			if kind != "unknown" {
				a, err := s.SignUp(b.Context(), name, good, from)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.SetDisabled(b.Context(), a.ID, kind == "disabled"); err != nil {
					b.Fatal(err)
				}
			}
			begun := time.Now()
			if _, err := s.LogIn(b.Context(), accounts.Attempt{Name: name, Password: "wrong", From: from}); err == nil {
				b.Fatal("logged in")
			}
			took[kind] = append(took[kind], time.Since(begun))
		}
	}
	median := func(kind string) float64 {
		slices.Sort(took[kind])
		return float64(took[kind][len(took[kind])/2])
	}
	b.ReportMetric(median("known")/1e6, "ms/refusal")
	b.ReportMetric(median("unknown")/median("known"), "unknown/known")
	b.ReportMetric(median("disabled")/median("known"), "disabled/known")
}
