package actors

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

// headTime is how long a head may take, waiting for others included.
const headTime = 5 * time.Second

// headWriter writes heads behind everybody's back, few at a time. A head that
// is lost costs time and no truth, so nobody waits for one, nor retries.
type headWriter struct {
	store stream.Store
	log   *slog.Logger
	room  chan struct{} // holds a token for each on its way
	slots chan struct{} // and one for each that is being written
	wait  sync.WaitGroup
}

func newHeadWriter(store stream.Store, log *slog.Logger) *headWriter {
	return &headWriter{store: store, log: log, room: make(chan struct{}, 64), slots: make(chan struct{}, 4)}
}

// put writes a head, or says no when too many are on their way already: then it
// is not even made.
func (w *headWriter) put(key string, head func() *stream.Head) bool {
	select {
	case w.room <- struct{}{}:
	default:
		return false
	}
	value := head().Encode()
	ctx, cancel := context.WithTimeout(context.Background(), headTime)
	w.wait.Go(func() {
		defer cancel()
		defer func() { <-w.room }()
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		defer func() { <-w.slots }()
		if err := w.store.Put(ctx, key, value); err != nil {
			w.log.Debug("a head was not written", "key", key, "error", err)
		}
	})
	return true
}

// awaitRoom returns when one caller may put a head, or false when ctx ends.
func (w *headWriter) awaitRoom(ctx context.Context) bool {
	select {
	case w.room <- struct{}{}:
		<-w.room
		return true
	case <-ctx.Done():
		return false
	}
}

// close waits for those on their way.
func (w *headWriter) close() { w.wait.Wait() }
