package accounts

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeClock is a clock that the test moves.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func testThrottle() (*throttle, *fakeClock) {
	clock := newFakeClock()
	return newThrottle(clock.Now, 10), clock
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// waitOf returns RetryAfter of err, or zero if err is nil.
func waitOf(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Kind != TooMany || refusal.RetryAfter <= 0 {
		t.Fatalf("%v, want TooMany", err)
	}
	return refusal.RetryAfter
}

// fail makes a failing attempt and returns the wait if it was throttled.
func fail(t *testing.T, th *throttle, name, from, known string) time.Duration {
	t.Helper()
	_, err := th.logIn(name, addr(from), known)
	return waitOf(t, err)
}

// ASVS 6.3.1: waits double from the fifth failure.
func TestThrottlePair(t *testing.T) {
	th, clock := testThrottle()
	for i := range 5 {
		if wait := fail(t, th, "alice", fmt.Sprintf("192.0.2.%d", i), ""); wait != 0 {
			t.Fatalf("try %d: held for %v", i+1, wait)
		}
	}
	for _, want := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if wait := fail(t, th, "alice", "192.0.2.99", ""); wait != want {
			t.Errorf("held for %v, want %v", wait, want)
		}
		clock.Add(want - 1) // attempts during the wait do not extend it
		if wait := fail(t, th, "alice", "192.0.2.99", ""); wait != time.Second {
			t.Errorf("held for %v at the end, want 1 s", wait)
		}
		clock.Add(1)
		if wait := fail(t, th, "alice", "192.0.2.99", ""); wait != 0 {
			t.Errorf("held for %v after the wait", wait)
		}
	}
	// Other names and networks are not affected.
	if wait := fail(t, th, "bob", "192.0.2.99", ""); wait != 0 {
		t.Errorf("another name is held for %v", wait)
	}
	if wait := fail(t, th, "alice", "198.51.100.1", ""); wait != 0 {
		t.Errorf("another network is held for %v", wait)
	}
}

// A success resets the counter; an attempt that is undone does not count.
func TestThrottleSucceeded(t *testing.T) {
	th, clock := testThrottle()
	from := addr("192.0.2.1")
	for range 10 {
		for range 4 {
			if wait := fail(t, th, "alice", "192.0.2.1", ""); wait != 0 {
				t.Fatalf("held for %v", wait)
			}
		}
		for range 10 {
			undone, err := th.logIn("alice", from, "")
			if err != nil {
				t.Fatal(err)
			}
			undone.undo()
		}
		try, err := th.logIn("alice", from, "")
		if err != nil {
			t.Fatal(err)
		}
		try.succeeded()
		// The failures still count for the network.
		clock.Add(8 * time.Minute)
	}
}

// ASVS 6.3.1, NIST 800-63B-4 3.2.2: an attack from many networks is slowed,
// too.
func TestThrottleName(t *testing.T) {
	th, clock := testThrottle()
	failures, days := 0, []int{}
	for range 6 {
		before := failures
		for end := clock.Now().Add(day); clock.Now().Before(end); clock.Add(time.Minute) {
			for range 3 {
				if fail(t, th, "alice", fmt.Sprintf("10.%d.%d.1", failures/250, failures%250), "") == 0 {
					failures++
				}
			}
		}
		days = append(days, failures-before)
	}
	if days[0] > 60 || days[1] > 30 || failures > 110 {
		t.Errorf("failures by day: %v, want 60 and 30 at most, and 110 in all", days)
	}
	if days[5] == 0 {
		t.Error("locked for good")
	}
}

func TestThrottleKnown(t *testing.T) {
	th, clock := testThrottle()
	for i := range 200 {
		fail(t, th, "alice", fmt.Sprintf("10.0.%d.1", i), "")
		fail(t, th, "alice", "192.0.2.1", "")
	}
	if fail(t, th, "alice", "192.0.2.1", "") == 0 {
		t.Error("a stranger is not held")
	}
	for i := range 5 {
		if wait := fail(t, th, "alice", "192.0.2.1", "browser"); wait != 0 {
			t.Errorf("try %d of a known browser is held for %v by the failures of others", i, wait)
		}
	}
	// A stolen cookie is throttled, too, from any address.
	if wait := fail(t, th, "alice", "203.0.113.1", "browser"); wait != 15*time.Second {
		t.Errorf("held for %v, want 15 s", wait)
	}
	if wait := fail(t, th, "alice", "192.0.2.1", "another browser"); wait != 0 {
		t.Errorf("another known browser is held for %v", wait)
	}
	clock.Add(15 * time.Second)
	fail(t, th, "alice", "203.0.113.2", "") // the next wait for other browsers is 30 s
	try, err := th.logIn("alice", addr("192.0.2.1"), "browser")
	if err != nil {
		t.Fatal(err)
	}
	try.succeeded()
	if wait := fail(t, th, "alice", "192.0.2.1", "browser"); wait != 0 {
		t.Errorf("held for %v after a success", wait)
	}
	if fail(t, th, "alice", "203.0.113.1", "") == 0 {
		t.Error("the success has freed the strangers")
	}
}

// ASVS 2.4.1: credential stuffing from one network is slowed.
func TestThrottleNetwork(t *testing.T) {
	for _, test := range []struct{ one, same, other string }{
		{"192.0.2.1", "192.0.2.254", "192.0.3.1"},
		{"192.0.2.1", "::ffff:192.0.2.7", "::ffff:192.0.3.7"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::1", "2001:db8:1:3::1"},
		{"fe80::1%eth0", "fe80::2%eth1", "2001:db8::1"},
	} {
		th, clock := testThrottle()
		made := 0
		for i := range 200 {
			if fail(t, th, fmt.Sprint(i), test.one, "") == 0 {
				made++
			}
		}
		if made != 50 {
			t.Errorf("%s: %d tries, want 50", test.one, made)
		}
		if wait := fail(t, th, "x", test.same, ""); wait != 2*time.Minute {
			t.Errorf("%s: held for %v, want 2 minutes", test.same, wait)
		}
		if wait := fail(t, th, "x", test.other, ""); wait != 0 {
			t.Errorf("%s: held for %v", test.other, wait)
		}
		for end := clock.Now().Add(time.Hour); clock.Now().Before(end); clock.Add(time.Second) {
			if fail(t, th, fmt.Sprint(made), test.one, "") == 0 {
				made++
			}
		}
		if made > 81 {
			t.Errorf("%s: %d tries in an hour, want 80 or so", test.one, made)
		}
		clock.Add(2 * time.Hour)
		if wait := fail(t, th, "x", test.one, ""); wait != 0 {
			t.Errorf("%s: held for %v after two quiet hours", test.one, wait)
		}
	}
	// Successes do not count for a network, which many people may share.
	th, _ := testThrottle()
	for i := range 500 {
		try, err := th.logIn(fmt.Sprint(i), addr("192.0.2.1"), "")
		if err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		try.succeeded()
	}
	// Requests without an address share one counter.
	if _, err := th.logIn("x", netip.Addr{}, ""); err != nil {
		t.Error(err)
	}
}

func TestThrottleSignUp(t *testing.T) {
	th, clock := testThrottle()
	made := 0
	for i := range 60 {
		try, err := th.signUp(addr(fmt.Sprintf("192.0.2.%d", i)))
		if err == nil {
			made++
			continue
		}
		if wait := waitOf(t, err); wait != 6*time.Minute {
			t.Fatalf("held for %v, want 6 minutes", wait)
		}
		_ = try
	}
	if made != 10 {
		t.Errorf("%d sign-ups, want 10", made)
	}
	if _, err := th.signUp(addr("198.51.100.1")); err != nil {
		t.Errorf("another network: %v", err)
	}
	clock.Add(6 * time.Minute)
	if _, err := th.signUp(addr("192.0.2.1")); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// ASVS 15.4.2: concurrent guesses do not slip through.
func TestThrottleAtOnce(t *testing.T) {
	th, _ := testThrottle()
	var passed atomic.Int32
	var done sync.WaitGroup
	for range 100 {
		done.Go(func() {
			if _, err := th.logIn("alice", addr("192.0.2.1"), ""); err == nil {
				passed.Add(1)
			}
		})
	}
	done.Wait()
	if passed.Load() != 5 {
		t.Errorf("%d of 100 guesses at once, want 5", passed.Load())
	}
}

// ASVS 15.2.2: a flood of names uses little memory and does not evict counters
// of names under attack.
func TestThrottleFlood(t *testing.T) {
	th, _ := testThrottle()
	for i := range 5 {
		fail(t, th, "alice", fmt.Sprintf("192.0.2.%d", i), "")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 40_000 {
		if wait := fail(t, th, fmt.Sprint(i), fmt.Sprintf("10.%d.%d.1", i>>8&255, i&255), ""); wait != 0 {
			break // its networks are throttled
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int(after.HeapAlloc) - int(before.HeapAlloc); used > 30<<20 {
		t.Errorf("%d MiB", used>>20)
	} else {
		t.Logf("%d KiB", used>>10)
	}
	if fail(t, th, "alice", "192.0.2.9", "") == 0 {
		t.Error("the flood has pushed out the failures for alice")
	}
	for _, c := range []*counters{th.pairs, th.names, th.networks, th.known, th.signUps} {
		inLevels := 0
		for _, level := range c.levels {
			inLevels += level.Len()
		}
		if len(c.keys) > c.rule.maxKeys || inLevels != len(c.keys) {
			t.Errorf("%d keys, %d in levels, want %d at most", len(c.keys), inLevels, c.rule.maxKeys)
		}
	}
}

func TestCountersForget(t *testing.T) {
	now := newFakeClock().Now()
	c := newCounters(rule{free: 1, firstWait: time.Second, maxWait: time.Second, expiry: time.Hour, maxKeys: 2})
	one, two, three, four := newKey("1"), newKey("2"), newKey("3"), newKey("4")
	for range 4 {
		c.count(one, now)
		c.count(two, now)
	}
	c.count(three, now.Add(59*time.Minute)) // full: key one is evicted, used before two
	if _, kept := c.keys[one]; kept || len(c.keys) != 2 {
		t.Errorf("%d keys, one kept %t", len(c.keys), kept)
	}
	c.count(four, now.Add(time.Hour)) // key two has expired, although it has more attempts than three
	if _, kept := c.keys[two]; kept || len(c.keys) != 2 {
		t.Errorf("%d keys, two kept %t", len(c.keys), kept)
	}
	c.count(four, now.Add(2*time.Hour))
	if n := c.keys[four].Value.(*counter).attempts; n != 1 {
		t.Errorf("%d tries after an hour, want 1", n)
	}
	for _, k := range []key{one, two, three, four} {
		c.undo(k)
		c.undo(k)
	}
	if len(c.keys) != 0 {
		t.Errorf("%d keys after all is undone", len(c.keys))
	}
}

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1: "1 second", time.Second: "1 second", 1001 * time.Millisecond: "2 seconds", time.Minute: "60 seconds",
		91 * time.Second: "2 minutes", 2 * time.Minute: "2 minutes", 121 * time.Second: "3 minutes", time.Hour: "60 minutes",
		91 * time.Minute: "2 hours", day: "24 hours",
	} {
		if got := inWords(d); got != want {
			t.Errorf("inWords(%v): %q, want %q", d, got, want)
		}
	}
	if err := tooMany(119*time.Second + 1); err.Error() != "Too many tries. Please wait 2 minutes." {
		t.Error(err)
	}
}
