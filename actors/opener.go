package actors

import (
	"context"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	maxOpening  = 128             // streams that are opened together
	openWorkers = 4               // such openings at the same time
	openTime    = 8 * time.Second // for one
)

// opener opens streams for entities. Those that are asked for while others are
// being opened go together as the next: a chunk of a batch over entities that are
// not in memory takes a few calls to the store, not a few for each.
type opener struct {
	reader stream.Reader

	mu    sync.Mutex
	queue []*waiting
	busy  int
}

// waiting is a stream that is to be opened.
type waiting struct {
	*stream.Opening
	err  error // the store's
	done chan struct{}
}

// open opens one stream, as stream.Reader.Open does. It returns when nothing
// calls the opening's functions any more, whatever became of the caller.
func (o *opener) open(op *stream.Opening) (stream.Tail, error) {
	w := &waiting{Opening: op, done: make(chan struct{})}
	o.mu.Lock()
	o.queue = append(o.queue, w)
	if o.busy < openWorkers {
		o.busy++
		go o.work() // ends with the queue: the caller waits for what it does
	}
	o.mu.Unlock()
	<-w.done
	if w.err == nil {
		w.err = op.Err
	}
	return op.Tail, w.err
}

func (o *opener) work() {
	for {
		o.mu.Lock()
		n := min(len(o.queue), maxOpening)
		batch := o.queue[:n:n]
		o.queue = o.queue[n:]
		if n == 0 {
			o.busy--
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		o.openAll(batch)
	}
}

func (o *opener) openAll(batch []*waiting) {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if len(batch) == 1 { // a long stream is opened best by its head
		op := batch[0].Opening
		op.Tail, op.Err = o.reader.Open(ctx, op.ID, op.Resume, op.Use)
		close(batch[0].done)
		return
	}
	all := make([]*stream.Opening, len(batch))
	for i, w := range batch {
		all[i] = w.Opening
	}
	err := o.reader.OpenAll(ctx, all)
	for _, w := range batch {
		w.err = err
		close(w.done)
	}
}
