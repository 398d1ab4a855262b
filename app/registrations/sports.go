package registrations

import "slices"

// Sports returns what one may register for, in the order in which it is shown.
// This is the only list of them. A sport that is taken off stays with those who
// have registered for it.
func Sports() []string {
	return []string{"Badminton", "Basketball", "Climbing", "Football", "Swimming", "Table tennis", "Volleyball"}
}

// Open returns the sports for which there is no registration in list.
func Open(list []Registration) []string {
	return slices.DeleteFunc(Sports(), func(sport string) bool {
		return slices.ContainsFunc(list, func(r Registration) bool { return r.Sport == sport })
	})
}
