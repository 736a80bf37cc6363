package actors

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

// headWriter writes heads behind everybody's back, few at a time. A head that
// is lost costs time and no truth, so nobody waits for one, nor retries.
type headWriter struct {
	store stream.Store
	log   *slog.Logger
	slots chan struct{}
	wait  sync.WaitGroup
}

func newHeadWriter(store stream.Store, log *slog.Logger) *headWriter {
	return &headWriter{store: store, log: log, slots: make(chan struct{}, 4)}
}

// put writes a head, or drops it when too many are on their way already.
func (w *headWriter) put(key string, value []byte) {
	w.wait.Go(func() {
		w.slots <- struct{}{}
		defer func() { <-w.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.store.Put(ctx, key, value); err != nil {
			w.log.Debug("a head was not written", "key", key, "error", err)
		}
	})
}

// close waits for those on their way.
func (w *headWriter) close() { w.wait.Wait() }
