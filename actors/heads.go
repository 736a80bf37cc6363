package actors

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	headTime   = 5 * time.Second        // how long writing heads may take
	headLinger = 200 * time.Millisecond // how long heads gather for one write
	headRoom   = 4 * stream.MaxBatch    // bytes that wait for being written
)

// headWriter writes heads behind everybody's back, many at a time: a store that
// flushes to disk for each write is not held up by every one of them. A head
// that is lost costs time and no truth, so nobody waits for one, nor retries.
type headWriter struct {
	store stream.Store
	log   *slog.Logger
	wait  sync.WaitGroup

	mu      sync.Mutex
	pending map[string]stream.Entry // by key: the newest counts
	bytes   int
	wake    chan struct{} // has a token when there is something to write
	closing chan struct{}
	once    sync.Once // closes closing
}

func newHeadWriter(store stream.Store, log *slog.Logger) *headWriter {
	w := &headWriter{
		store: store, log: log, pending: map[string]stream.Entry{},
		wake: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	w.wait.Go(w.work)
	return w
}

// put takes a head to be written, or says no when too much waits already: then
// it is not even made.
func (w *headWriter) put(id stream.ID, head func() *stream.Head) bool {
	w.mu.Lock()
	full := w.bytes > headRoom
	w.mu.Unlock()
	if full {
		return false
	}
	e := stream.Entry{Key: id.HeadKey(), Value: head().Encode(), Partition: id.Partition()}
	w.mu.Lock()
	w.bytes += len(e.Value) - len(w.pending[e.Key].Value)
	w.pending[e.Key] = e
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

func (w *headWriter) work() {
	for {
		select {
		case <-w.wake:
		case <-w.closing:
			w.writeInTime()
			return
		}
		select {
		case <-time.After(headLinger):
		case <-w.closing:
		}
		w.writeInTime()
	}
}

func (w *headWriter) writeInTime() {
	ctx, cancel := context.WithTimeout(context.Background(), headTime)
	defer cancel()
	w.write(ctx)
}

// write writes all that is pending, in as few calls as it fits into.
func (w *headWriter) write(ctx context.Context) {
	for {
		batch := w.take()
		if len(batch) == 0 {
			return
		}
		if err := w.store.Put(ctx, batch...); err != nil {
			w.log.Debug("heads were not written", "heads", len(batch), "error", err)
		}
	}
}

func (w *headWriter) take() []stream.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	var batch []stream.Entry
	size := 0
	for key, e := range w.pending {
		if len(batch) == w.store.Traits().MaxOps || len(batch) > 0 && size+len(e.Value) > stream.MaxBatch {
			break
		}
		batch = append(batch, e)
		size += len(e.Value)
		w.bytes -= len(e.Value)
		delete(w.pending, key)
	}
	return batch
}

// close writes what is pending and stops. Nothing may be put any more.
func (w *headWriter) close() {
	w.once.Do(func() { close(w.closing) })
	w.wait.Wait()
}
