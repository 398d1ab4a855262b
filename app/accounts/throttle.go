package accounts

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// The rules by which guessing is slowed. Those for a name give NIST 800-63B-4
// (section 3.2.2: at most 100 failures in a row) without its lock, which anybody
// could turn against anybody: some 50 failures are possible in the first day, 24
// in each later one, and after the hundredth one a day. That holds for names
// that exist and for those that do not.
const day = 24 * time.Hour

func pairRule() rule { // a name from one address network
	return rule{free: 4, first: 15 * time.Second, most: time.Hour, limit: 100, final: day, forget: 2 * day, max: 32_768}
}

func nameRule() rule { // a name from anywhere, except browsers that are known
	return rule{free: 19, first: 15 * time.Second, most: time.Hour, limit: 100, final: day, forget: 7 * day, max: 32_768}
}

func knownRule() rule { // one browser that has logged in as that name
	return rule{free: 4, first: 15 * time.Second, most: time.Hour, limit: 100, final: day, forget: 7 * day, max: 8_192}
}

func networkRule() rule { // an address network: 50 failures, then one every two minutes
	return rule{free: 49, first: 2 * time.Minute, most: 2 * time.Minute, regain: 2 * time.Minute, forget: 2 * time.Hour, max: 8_192}
}

func signUpRule(anHour int) rule { // sign-ups from an address network
	each := time.Hour / time.Duration(anHour)
	return rule{free: anHour - 1, first: each, most: each, regain: each, forget: 2 * time.Hour, max: 8_192}
}

// throttle slows guessing. What it knows is in memory, some 16 MiB at most, and
// a restart forgets it: whoever can restart the server needs no guessing.
type throttle struct {
	clock    func() time.Time
	mu       sync.Mutex
	pairs    *counters
	names    *counters
	known    *counters
	networks *counters
	signUps  *counters
}

func newThrottle(clock func() time.Time, signUpsAnHour int) *throttle {
	return &throttle{
		clock:    clock,
		pairs:    newCounters(pairRule()),
		names:    newCounters(nameRule()),
		known:    newCounters(knownRule()),
		networks: newCounters(networkRule()),
		signUps:  newCounters(signUpRule(signUpsAnHour)),
	}
}

// key is what tries are counted by: a hash, so that a long name costs no more
// memory than a short one.
type key [16]byte

func newKey(parts ...string) key {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return key(h.Sum(nil))
}

// network returns the part of an address that one customer of a provider
// commands: /24 of IPv4, /64 of IPv6.
func network(from netip.Addr) string {
	from = from.Unmap()
	size := 64
	if from.Is4() {
		size = 24
	}
	prefix, err := from.Prefix(size)
	if err != nil {
		return "none" // no address, as from a socket: all of these together
	}
	return prefix.String()
}

// try is one try, counted under several keys before it is known how it ends, so
// that guesses made at once do not all pass before the first is counted. It ends
// as a failure unless passed or undo is called.
type try struct {
	throttle *throttle
	counts   []count
}

type count struct {
	in     *counters
	key    key
	clears bool // a success ends the row of failures
}

// logIn begins a try to log in. known is empty, or tells apart the browser that
// has logged in as that name before: it is held by its own failures alone.
func (t *throttle) logIn(folded string, from netip.Addr, known string) (try, error) {
	if known != "" {
		return t.begin(count{t.known, newKey("known", folded, known), true})
	}
	return t.begin(
		count{t.pairs, newKey("name", folded, network(from)), true},
		count{t.names, newKey("name", folded), true},
		count{t.networks, newKey("network", network(from)), false},
	)
}

// reauthenticate begins a try to re-authenticate. It is counted apart from
// logins, so that failures there do not keep the owner from changing a password.
func (t *throttle) reauthenticate(id ID, from netip.Addr) (try, error) {
	return t.begin(
		count{t.pairs, newKey("reauthenticate", id.String(), network(from)), true},
		count{t.names, newKey("reauthenticate", id.String()), true},
	)
}

// signUp begins a sign-up. It counts however it ends.
func (t *throttle) signUp(from netip.Addr) (try, error) {
	return t.begin(count{t.signUps, newKey("signup", network(from)), false})
}

func (t *throttle) begin(counts ...count) (try, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	var wait time.Duration
	for _, c := range counts {
		wait = max(wait, c.in.held(c.key, now))
	}
	if wait > 0 {
		return try{}, tooMany(wait)
	}
	for _, c := range counts {
		c.in.count(c.key, now)
	}
	return try{throttle: t, counts: counts}, nil
}

// passed says that the try was none of the failures that are counted.
func (t try) passed() {
	t.throttle.mu.Lock()
	defer t.throttle.mu.Unlock()
	for _, c := range t.counts {
		if c.clears {
			c.in.clear(c.key)
		} else {
			c.in.undo(c.key)
		}
	}
}

// undo says that the try was never made: whoever made it has learned nothing.
func (t try) undo() {
	t.throttle.mu.Lock()
	defer t.throttle.mu.Unlock()
	for _, c := range t.counts {
		c.in.undo(c.key)
	}
}

// tooMany rounds up, so that waiting as told is enough.
func tooMany(wait time.Duration) error {
	seconds := (wait + time.Second - 1).Truncate(time.Second)
	return &Error{Kind: TooMany, Message: "Too many tries. Please wait " + inWords(seconds) + ".", RetryAfter: seconds}
}

// inWords says a length of time, rounded up to its largest unit.
func inWords(d time.Duration) string {
	amount, unit := (d+time.Second-1)/time.Second, "second"
	switch {
	case d > 90*time.Minute:
		amount, unit = (d+time.Hour-1)/time.Hour, "hour"
	case d > 90*time.Second:
		amount, unit = (d+time.Minute-1)/time.Minute, "minute"
	}
	if amount != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", amount, unit)
}
