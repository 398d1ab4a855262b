package accounts

import (
	"container/list"
	"math/bits"
	"time"
)

// rule says how tries of one kind are slowed.
type rule struct {
	free   int           // tries before the first wait
	first  time.Duration // the first wait; each later one is twice the one before
	most   time.Duration // the longest of these
	limit  int           // after so many tries in a row, each wait is final; zero: never
	final  time.Duration
	regain time.Duration // one try is given back each; zero: never
	forget time.Duration // a key is forgotten so long after its last try; more than any wait
	max    int           // keys kept
}

// wait returns how long to wait after the nth try.
func (r rule) wait(n int) time.Duration {
	switch over := n - r.free; {
	case over <= 0:
		return 0
	case r.limit > 0 && n >= r.limit:
		return r.final
	case over > 30:
		return r.most
	default:
		return min(r.most, r.first<<(over-1))
	}
}

// counters counts tries by key, under one rule. It is not safe for use at the
// same time; throttle holds a lock.
//
// It keeps rule.max keys. When it is full, the key with the fewest tries goes
// first, the longest untouched among equals. So whoever wants the counter of a
// victim forgotten must bring every other key to as many tries, and a try is
// counted only if its password is checked, at 20 ms and more: pushing one counter
// of five tries out of 32,768 keys takes the whole server for 20 minutes at
// least, to save a wait of 15 seconds.
type counters struct {
	rule   rule
	keys   map[key]*list.Element
	levels [8]*list.List // of *counter, by level, the last touched in front
}

type counter struct {
	key   key
	tries int
	until time.Time // no try before
	last  time.Time // of the last try
	since time.Time // from when tries are given back
}

func newCounters(r rule) *counters {
	c := &counters{rule: r, keys: make(map[key]*list.Element)}
	for i := range c.levels {
		c.levels[i] = list.New()
	}
	return c
}

// level groups counts by powers of two.
func (c *counters) level(tries int) *list.List {
	return c.levels[min(bits.Len(uint(tries)), len(c.levels)-1)]
}

// held returns how long the key must wait at this time; zero: not at all.
func (c *counters) held(k key, now time.Time) time.Duration {
	if e, ok := c.keys[k]; ok {
		return max(0, e.Value.(*counter).until.Sub(now))
	}
	return 0
}

// count adds a try.
func (c *counters) count(k key, now time.Time) {
	n := counter{key: k, since: now}
	if e, ok := c.keys[k]; ok {
		if old := *e.Value.(*counter); now.Sub(old.last) < c.rule.forget {
			n = old
		}
		c.clear(k)
	} else {
		c.makeRoom(now)
	}
	if c.rule.regain > 0 {
		back := int(min(now.Sub(n.since)/c.rule.regain, time.Duration(n.tries)))
		n.tries -= back
		n.since = n.since.Add(time.Duration(back) * c.rule.regain)
		if n.tries == 0 {
			n.since = now
		}
	}
	n.tries++
	n.last = now
	n.until = now.Add(c.rule.wait(n.tries))
	c.put(n)
}

// undo takes one try back.
func (c *counters) undo(k key) {
	e, ok := c.keys[k]
	if !ok {
		return
	}
	n := *e.Value.(*counter)
	c.clear(k)
	if n.tries--; n.tries > 0 {
		n.until = n.last.Add(c.rule.wait(n.tries))
		c.put(n)
	}
}

// clear forgets the key.
func (c *counters) clear(k key) {
	if e, ok := c.keys[k]; ok {
		c.level(e.Value.(*counter).tries).Remove(e)
		delete(c.keys, k)
	}
}

func (c *counters) put(n counter) {
	c.keys[n.key] = c.level(n.tries).PushFront(&n)
}

func (c *counters) makeRoom(now time.Time) {
	for _, level := range c.levels {
		for e := level.Back(); e != nil && now.Sub(e.Value.(*counter).last) >= c.rule.forget; e = level.Back() {
			c.clear(e.Value.(*counter).key)
		}
	}
	for _, level := range c.levels {
		if len(c.keys) < c.rule.max {
			return
		}
		if e := level.Back(); e != nil {
			c.clear(e.Value.(*counter).key)
		}
	}
}
