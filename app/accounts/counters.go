package accounts

import (
	"container/list"
	"math/bits"
	"time"
)

// rule is the policy by which one kind of attempt is throttled.
type rule struct {
	free      int           // attempts before the first wait
	firstWait time.Duration // the first wait; it doubles with each further attempt
	maxWait   time.Duration // upper bound of the doubling
	limit     int           // from this many attempts in a row, every wait is finalWait; zero: no limit
	finalWait time.Duration
	forgive   time.Duration // interval after which one attempt is forgiven; zero: never
	expiry    time.Duration // a key expires this long after its last attempt; longer than any wait
	maxKeys   int           // capacity
}

// wait returns the wait after the nth attempt.
func (r rule) wait(n int) time.Duration {
	switch over := n - r.free; {
	case over <= 0:
		return 0
	case r.limit > 0 && n >= r.limit:
		return r.finalWait
	case over > 30:
		return r.maxWait
	default:
		return min(r.maxWait, r.firstWait<<(over-1))
	}
}

// counters counts attempts by key under one rule. It is not safe for concurrent
// use; throttle holds a lock around it.
//
// When rule.maxKeys are in use, the key with the fewest attempts is evicted,
// the least recently used first among equals. To evict a victim's counter, an
// attacker must raise every other key to as many attempts, and an attempt is
// counted only when its password is hashed. With 32,768 keys of five attempts
// each, that takes the whole server at least 20 minutes and saves a wait of 15
// seconds.
type counters struct {
	rule   rule
	keys   map[key]*list.Element
	levels [8]*list.List // of *counter by level, most recently used in front
}

type counter struct {
	key          key
	attempts     int
	blockedUntil time.Time // attempts are rejected before this time
	last         time.Time // time of the last attempt
	forgivenTo   time.Time // attempts are forgiven from this time on
}

func newCounters(r rule) *counters {
	c := &counters{rule: r, keys: make(map[key]*list.Element)}
	for i := range c.levels {
		c.levels[i] = list.New()
	}
	return c
}

// level returns the list of counters with about that many attempts: as many as the
// next lower power of two, and fewer than twice as many.
func (c *counters) level(tries int) *list.List {
	return c.levels[min(bits.Len(uint(tries)), len(c.levels)-1)]
}

// remaining returns how long the key must still wait, or zero.
func (c *counters) remaining(k key, now time.Time) time.Duration {
	if e, ok := c.keys[k]; ok {
		return max(0, e.Value.(*counter).blockedUntil.Sub(now))
	}
	return 0
}

// count adds an attempt.
func (c *counters) count(k key, now time.Time) {
	next := counter{key: k, forgivenTo: now}
	if e, ok := c.keys[k]; ok {
		if old := *e.Value.(*counter); now.Sub(old.last) < c.rule.expiry {
			next = old
		}
		c.clear(k)
	} else {
		c.evict(now)
	}
	if c.rule.forgive > 0 {
		forgiven := int(min(now.Sub(next.forgivenTo)/c.rule.forgive, time.Duration(next.attempts)))
		next.attempts -= forgiven
		next.forgivenTo = next.forgivenTo.Add(time.Duration(forgiven) * c.rule.forgive)
		if next.attempts == 0 {
			next.forgivenTo = now
		}
	}
	next.attempts++
	next.last = now
	next.blockedUntil = now.Add(c.rule.wait(next.attempts))
	c.put(next)
}

// undo removes one attempt.
func (c *counters) undo(k key) {
	e, ok := c.keys[k]
	if !ok {
		return
	}
	next := *e.Value.(*counter)
	c.clear(k)
	if next.attempts--; next.attempts > 0 {
		next.blockedUntil = next.last.Add(c.rule.wait(next.attempts))
		c.put(next)
	}
}

// clear removes the key.
func (c *counters) clear(k key) {
	if e, ok := c.keys[k]; ok {
		c.level(e.Value.(*counter).attempts).Remove(e)
		delete(c.keys, k)
	}
}

func (c *counters) put(counted counter) {
	c.keys[counted.key] = c.level(counted.attempts).PushFront(&counted)
}

func (c *counters) evict(now time.Time) {
	for _, level := range c.levels {
		for e := level.Back(); e != nil && now.Sub(e.Value.(*counter).last) >= c.rule.expiry; e = level.Back() {
			c.clear(e.Value.(*counter).key)
		}
	}
	for _, level := range c.levels {
		if len(c.keys) < c.rule.maxKeys {
			return
		}
		if e := level.Back(); e != nil {
			c.clear(e.Value.(*counter).key)
		}
	}
}
