package accounts

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// The throttling rules. Those for a name give the protection of NIST 800-63B-4,
// section 3.2.2 (at most 100 failures in a row), without locking accounts,
// because anybody could lock anybody else's. An attacker gets about 50 attempts
// on the first day, 24 on each later day, and one a day after the hundredth.
// The rules are the same for names that do not exist.
const day = 24 * time.Hour

func pairRule() rule { // one name from one address network
	return rule{free: 4, firstWait: 15 * time.Second, maxWait: time.Hour, limit: 100, finalWait: day, expiry: 2 * day, maxKeys: 32_768}
}

func nameRule() rule { // one name from anywhere, except known browsers
	return rule{free: 19, firstWait: 15 * time.Second, maxWait: time.Hour, limit: 100, finalWait: day, expiry: 7 * day, maxKeys: 32_768}
}

func knownRule() rule { // one name from one known browser
	return rule{free: 4, firstWait: 15 * time.Second, maxWait: time.Hour, limit: 100, finalWait: day, expiry: 7 * day, maxKeys: 8_192}
}

func networkRule() rule { // one address network: 50 failures, then one every two minutes
	return rule{free: 49, firstWait: 2 * time.Minute, maxWait: 2 * time.Minute, forgive: 2 * time.Minute, expiry: 2 * time.Hour, maxKeys: 8_192}
}

func signUpRule(anHour int) rule { // sign-ups from one address network
	each := time.Hour / time.Duration(anHour)
	return rule{free: anHour - 1, firstWait: each, maxWait: each, forgive: each, expiry: 2 * time.Hour, maxKeys: 8_192}
}

// throttle slows down password guessing. Its counters are in memory, at most
// about 16 MiB, and a restart clears them.
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

// key identifies a counter. It is a hash, so that long names take no more
// memory than short ones.
type key [16]byte

func newKey(parts ...string) key {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return key(h.Sum(nil))
}

// network returns the network of an address that usually belongs to one
// customer: its /24 in IPv4, its /64 in IPv6.
func network(from netip.Addr) string {
	from = from.Unmap()
	size := 64
	if from.Is4() {
		size = 24
	}
	prefix, err := from.Prefix(size)
	if err != nil {
		return "none" // no address, as from a Unix socket: they share one counter
	}
	return prefix.String()
}

// try is one attempt. It is counted under its keys before its outcome is known,
// so that concurrent guesses cannot slip through. It counts as a failure unless
// succeeded or undo is called.
type try struct {
	throttle *throttle
	counts   []count
}

type count struct {
	in     *counters
	key    key
	clears bool // a success resets the counter
}

// logIn begins a login attempt. known is empty, or the cookie value of a
// browser that is known for this name. A known browser is throttled only by its
// own failures.
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

// reauthenticate begins a re-authentication in a session. It is counted separately from
// logins, so that failed logins do not stop the owner from changing the
// password.
func (t *throttle) reauthenticate(id ID, from netip.Addr) (try, error) {
	return t.begin(
		count{t.pairs, newKey("reauthenticate", id.String(), network(from)), true},
		count{t.names, newKey("reauthenticate", id.String()), true},
	)
}

// signUp begins a sign-up. It counts whether it succeeds or not.
func (t *throttle) signUp(from netip.Addr) (try, error) {
	return t.begin(count{t.signUps, newKey("signup", network(from)), false})
}

func (t *throttle) begin(counts ...count) (try, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	var wait time.Duration
	for _, c := range counts {
		wait = max(wait, c.in.remaining(c.key, now))
	}
	if wait > 0 {
		return try{}, tooMany(wait)
	}
	for _, c := range counts {
		c.in.count(c.key, now)
	}
	return try{throttle: t, counts: counts}, nil
}

// succeeded records that the attempt was successful.
func (t try) succeeded() {
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

// undo removes the attempt: an error stopped it before it revealed anything.
func (t try) undo() {
	t.throttle.mu.Lock()
	defer t.throttle.mu.Unlock()
	for _, c := range t.counts {
		c.in.undo(c.key)
	}
}

// tooMany rounds the wait up to whole seconds.
func tooMany(wait time.Duration) error {
	seconds := (wait + time.Second - 1).Truncate(time.Second)
	return &Error{Kind: TooMany, Message: "Too many tries. Please wait " + inWords(seconds) + ".", RetryAfter: seconds}
}

// inWords formats a duration, rounded up to whole seconds, minutes or hours.
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
