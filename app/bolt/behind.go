package bolt

import "sync"

// behind gathers what is written behind the visitor's back: nobody waits for it,
// and losing it does no harm. While one write is on its way the next ones gather.
type behind[T any] struct {
	write  func([]T) error
	report func(error)

	mu      sync.Mutex
	items   []T
	running bool
	closed  bool
	idle    sync.WaitGroup
}

// maxBehind is how many may wait. On a disk that is full or too slow the rest is
// dropped.
const maxBehind = 4096

func (b *behind[T]) add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.items) >= maxBehind {
		return
	}
	b.items = append(b.items, item)
	if !b.running {
		b.running = true
		b.idle.Go(b.run)
	}
}

func (b *behind[T]) run() {
	for {
		b.mu.Lock()
		items := b.items
		b.items = nil
		if len(items) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		if err := b.write(items); err != nil {
			b.report(err)
		}
	}
}

// close refuses more and waits for what is on its way.
func (b *behind[T]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.idle.Wait()
}
