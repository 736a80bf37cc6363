package actors

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// protect runs one callback of the sidecar, so that a panic in it fails that
// callback and not the process.
func protect(log *slog.Logger, what string, callback func() ([]byte, error)) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("actor callback panicked", "callback", what, "panic", p, "stack", string(debug.Stack()))
			answer, err = nil, fmt.Errorf("%s: panic: %v", what, p)
		}
	}()
	return callback()
}

// gate counts the callbacks in flight. Once closed it lets no more in. The zero
// value is open; it is safe for concurrent use.
type gate struct {
	mu       sync.Mutex
	inFlight int
	idle     chan struct{} // not nil once closed; closed itself when nothing is in flight
}

// enter reports whether a callback may start; if so it must leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return false
	}
	g.inFlight++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if g.idle != nil && g.inFlight == 0 {
		close(g.idle)
	}
}

// close lets nobody in from now on. The channel it returns is closed once the
// last callback has left.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle == nil {
		g.idle = make(chan struct{})
		if g.inFlight == 0 {
			close(g.idle)
		}
	}
	return g.idle
}

func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.idle != nil
}
