package actors

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/longrun-dev/longrun/internal/stream"
)

// group is what must be written together: the commits of one entity's turn.
// Only whole groups are split from a flush, tried again, or resolved.
type group struct {
	entries []stream.Entry // the entity's commit first, if it has one
	rows    []row          // what the journal says of it
	done    func(outcome)  // called once; must not block
}

// outcome is what became of a group. Exactly one of its fields says so.
type outcome struct {
	landed bool
	taken  map[int][]byte // what others wrote at our keys, by index of entries; nothing of ours is there
	err    error          // unknown: it may land yet
}

// flusher is the group commit of one host: while one flush is in flight the
// next gathers. Its workers write at the same time.
type flusher struct {
	store   stream.Store
	log     *slog.Logger
	metrics *metrics
	limit   time.Duration // for resolving one flush, then its groups are unknown

	mu     sync.Mutex
	wake   *sync.Cond
	queue  []*group
	closed bool
	wait   sync.WaitGroup
}

// newFlusher starts one worker per journal.
func newFlusher(store stream.Store, journals []*journal, log *slog.Logger, m *metrics) *flusher {
	f := &flusher{store: store, log: log, metrics: m, limit: 8 * time.Second}
	f.wake = sync.NewCond(&f.mu)
	for _, j := range journals {
		f.wait.Go(func() { f.work(j) })
	}
	return f
}

// submit queues a group. After close its outcome is an error.
func (f *flusher) submit(g *group) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		g.done(outcome{err: errors.New("the process is stopping")})
		return
	}
	f.queue = append(f.queue, g)
	f.mu.Unlock()
	f.wake.Signal()
}

// close writes what is queued and stops.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wake.Broadcast()
	f.wait.Wait()
}

func (f *flusher) work(j *journal) {
	for {
		groups := f.take()
		if groups == nil {
			return
		}
		start := time.Now()
		f.flush(j, groups)
		f.metrics.flushSeconds.Observe(time.Since(start).Seconds())
		f.metrics.flushGroups.Observe(float64(len(groups)))
	}
}

// take waits for work and takes as much as one flush may hold, in order; nil
// when closed and done. Groups that share a key never meet in one flush.
func (f *flusher) take() []*group {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 {
		if f.closed {
			return nil
		}
		f.wake.Wait()
	}
	limit := f.store.Traits()
	keys := map[string]bool{}
	size, ops := 0, 1 // one for the journal
	var batch, later []*group
	for i, g := range f.queue {
		bytes, shared := 0, false
		for _, e := range g.entries {
			bytes += len(e.Key) + len(e.Value)
			shared = shared || keys[e.Key]
		}
		if len(batch) > 0 && (size+bytes > stream.MaxBatch || ops+len(g.entries) > limit.MaxOps || !limit.Across) {
			later = append(later, f.queue[i:]...)
			break
		}
		if shared {
			later = append(later, g)
			continue
		}
		size, ops = size+bytes, ops+len(g.entries)
		for _, e := range g.entries {
			keys[e.Key] = true
		}
		batch = append(batch, g)
	}
	f.queue = later
	if len(later) > 0 {
		f.wake.Signal()
	}
	return batch
}

// flush writes groups and resolves every one of them: as one transaction, what
// is left undecided once more so, and only then group by group.
func (f *flusher) flush(j *journal, groups []*group) {
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	groups = f.try(ctx, j, groups)
	if len(groups) > 0 {
		groups = f.try(ctx, j, groups)
	}
	pause := &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Second,
	}
	for len(groups) > 0 {
		// Absent after a failure, twice: one is in the way of the others, or the
		// store is in trouble. Each by itself, until it answers or time is up.
		var left []*group
		for i, g := range groups {
			if ctx.Err() != nil {
				left = append(left, groups[i:]...)
				break
			}
			left = append(left, f.try(ctx, j, []*group{g})...)
		}
		groups = left
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			for _, g := range groups {
				f.metrics.unresolved.Inc()
				g.done(outcome{err: errors.New("the store did not answer in time")})
			}
			return
		}
	}
}

// try writes the groups at once and answers those that are decided by it. What
// it returns was found absent, or could not be read.
func (f *flusher) try(ctx context.Context, j *journal, groups []*group) []*group {
	if t := f.store.Traits(); !t.Rollback || !t.Across {
		return f.tryInOrder(ctx, j, groups)
	}
	var entries []stream.Entry
	for _, g := range groups {
		entries = append(entries, g.entries...)
	}
	return f.insert(ctx, j, entries, groups)
}

func (f *flusher) insert(ctx context.Context, j *journal, entries []stream.Entry, groups []*group) []*group {
	page := j.next(groups)
	if page != nil {
		entries = append(entries, page.entry)
	}
	slices.SortFunc(entries, func(a, b stream.Entry) int { return cmp.Compare(a.Key, b.Key) })
	err := f.write(ctx, entries)
	if err == nil {
		j.landed(page)
		for _, g := range groups {
			g.done(outcome{landed: true})
		}
		return nil
	}
	f.metrics.flushFailures.Inc()
	f.log.Debug("a flush failed, reading it back", "groups", len(groups), "error", err)
	left, _ := f.resolve(ctx, j, page, groups)
	return left
}

// write inserts entries at once, or one by one where they cannot be of several
// partitions: then nothing relies on their being written together.
func (f *flusher) write(ctx context.Context, entries []stream.Entry) error {
	if len(entries) == 0 { // the rest of groups that have none
		return nil
	}
	if f.store.Traits().Across {
		return f.store.Insert(ctx, entries)
	}
	var failed error
	for i := range entries {
		failed = errors.Join(failed, f.store.Insert(ctx, entries[i:i+1]))
	}
	return failed
}

// resolve reads back every key of a failed flush, once, and answers the groups
// that are decided. An error says that nothing could be read.
func (f *flusher) resolve(ctx context.Context, j *journal, page *page, groups []*group) (left []*group, err error) {
	var keys []string
	for _, g := range groups {
		for _, e := range g.entries {
			keys = append(keys, e.Key)
		}
	}
	if page != nil {
		keys = append(keys, page.entry.Key)
	}
	values, err := f.store.Read(ctx, keys)
	if err != nil {
		f.log.Warn("a failed flush could not be read back", "groups", len(groups), "error", err)
		return groups, err
	}
	if page != nil {
		j.found(page, values[len(values)-1])
	}
	for _, g := range groups {
		stored := values[:len(g.entries)]
		values = values[len(g.entries):]
		if o, decided := g.compare(stored); decided {
			g.done(o)
		} else {
			left = append(left, g)
		}
	}
	return left, nil
}

// compare tells a group's outcome from what is stored at its keys. A commit has
// an id of its own, so equal bytes are our commit.
func (g *group) compare(stored [][]byte) (outcome, bool) {
	ours := 0
	var taken map[int][]byte
	for i, value := range stored {
		switch {
		case value == nil:
		case bytes.Equal(value, g.entries[i].Value):
			ours++
		default:
			if taken == nil {
				taken = map[int][]byte{}
			}
			taken[i] = value
		}
	}
	if taken != nil {
		return outcome{taken: taken}, true
	}
	return outcome{landed: ours == len(g.entries)}, ours == len(g.entries)
}

// tryInOrder is for stores that keep half of a failed transaction, or take none
// over several streams: what is taken is looked for first, then the entities'
// commits are written, then the rest.
// Two hosts that run one command id at once can still both commit: such a store
// is for development.
func (f *flusher) tryInOrder(ctx context.Context, j *journal, groups []*group) []*group {
	groups, err := f.resolve(ctx, j, nil, groups)
	if err != nil || len(groups) == 0 {
		return groups
	}
	var entries []stream.Entry
	var single []*group
	for _, g := range groups {
		entries = append(entries, g.entries[0])
		single = append(single, &group{entries: g.entries[:1]})
	}
	won := map[int]bool{}
	for i, s := range single {
		s.done = func(o outcome) {
			if won[i] = o.landed; !o.landed {
				groups[i].done(o)
			}
		}
	}
	undecided := map[*group]bool{}
	for _, s := range f.insert(ctx, nil, entries, single) {
		undecided[s] = true
	}
	var left, rest []*group
	entries = nil
	for i, g := range groups {
		switch {
		case undecided[single[i]]:
			left = append(left, g)
		case won[i]:
			rest = append(rest, g)
			entries = append(entries, g.entries[1:]...)
		}
	}
	if len(rest) > 0 {
		left = append(left, f.insert(ctx, j, entries, rest)...)
	}
	return left
}
