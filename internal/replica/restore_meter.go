package replica

import "sync"

// meter counts the bytes of a restore for its progress. Its methods may be called from
// any goroutine.
type meter struct {
	show func(done, total int64) // nil shows nothing

	mu          sync.Mutex // guards the rest, and is held while show is called
	done, total int64      // total counts what is known to be needed
	kept        int64      // of done, what a later restore can use again
}

// expect adds n bytes to what is needed; less when n is negative.
func (m *meter) expect(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += n
	m.tell()
}

// advance adds n bytes to what is done.
func (m *meter) advance(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.tell()
}

// keep counts n bytes of those done as verified and kept.
func (m *meter) keep(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept += n
}

// verified is how many bytes a later restore can use again.
func (m *meter) verified() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept
}

func (m *meter) tell() {
	if m.show != nil {
		m.show(m.done, max(m.total, m.done))
	}
}
