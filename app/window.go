package app

import "sync"

// window bounds what is read and not yet answered, in lines and in bytes: the
// lines of a bulk can be long. One line always fits.
type window struct {
	maxLines, maxBytes int

	mu           sync.Mutex
	room         sync.Cond
	lines, bytes int
}

func newWindow(lines, bytes int) *window {
	w := &window{maxLines: lines, maxBytes: bytes}
	w.room.L = &w.mu
	return w
}

// enter waits until there is room for one more line of a size.
func (w *window) enter(size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.lines > 0 && (w.lines >= w.maxLines || w.bytes+size > w.maxBytes) {
		w.room.Wait()
	}
	w.lines++
	w.bytes += size
}

// leave makes the room free again.
func (w *window) leave(size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines--
	w.bytes -= size
	w.room.Signal()
}
