package actors

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// followPoll is how long a follower waits for news of a stream that another
// process may write.
const followPoll = 250 * time.Millisecond

// followPage is how many events a follower reads at a time.
const followPage = 500

// Events reads a page of a stream from the store; next is the sequence of the
// next page, 0 if there is no more now.
func (s *System) Events(ctx context.Context, id stream.ID, from uint64, limit int) ([]stream.Recorded, uint64, error) {
	events, next, err := s.reader.Events(ctx, id, from, limit)
	if err != nil {
		return nil, 0, faultOf(err)
	}
	if len(events) == 0 {
		if err := s.exists(ctx, id); err != nil {
			return nil, 0, err
		}
	}
	return events, next, nil
}

func (s *System) exists(ctx context.Context, id stream.ID) error {
	exists, err := s.hasEvents(ctx, id)
	switch {
	case err != nil:
		return faultOf(err)
	case !exists:
		return catalog.Faultf(catalog.NotFound, "no %s %q", id.Type, id.Key)
	}
	return nil
}

// hasEvents says whether an entity exists: whether its stream has an event.
func (s *System) hasEvents(ctx context.Context, id stream.ID) (bool, error) {
	values, err := s.store.Read(ctx, []string{id.CommitKey(1)})
	if err != nil {
		return false, err
	}
	return s.born(ctx, id, values[0])
}

// Follow goes through the events of a stream and then through those that come,
// until ctx ends. It hears at once of what this process writes.
func (s *System) Follow(ctx context.Context, id stream.ID, from uint64) iter.Seq2[stream.Recorded, error] {
	return func(yield func(stream.Recorded, error) bool) {
		news, stop := s.followers.add(id)
		defer stop()
		poll := time.NewTimer(followPoll)
		defer poll.Stop()
		from = max(from, 1)
		for {
			events, next, err := s.Events(ctx, id, from, followPage)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(stream.Recorded{}, err)
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				from = e.Sequence + 1
			}
			if next != 0 {
				continue
			}
			poll.Reset(followPoll)
			select {
			case <-ctx.Done():
				return
			case <-news:
			case <-poll.C:
			}
		}
	}
}

// followers are those who wait for news of a stream.
type followers struct {
	mu   sync.Mutex
	news map[stream.ID]map[chan struct{}]struct{}
}

func (f *followers) add(id stream.ID) (news chan struct{}, stop func()) {
	news = make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.news == nil {
		f.news = map[stream.ID]map[chan struct{}]struct{}{}
	}
	if f.news[id] == nil {
		f.news[id] = map[chan struct{}]struct{}{}
	}
	f.news[id][news] = struct{}{}
	return news, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if delete(f.news[id], news); len(f.news[id]) == 0 {
			delete(f.news, id)
		}
	}
}

func (f *followers) wake(id stream.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for news := range f.news[id] {
		select {
		case news <- struct{}{}:
		default: // it has news already
		}
	}
}
