package actors

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	headEvery = 64 // commits between two heads
	headIdle  = 16 // fewer new commits than this are not worth a head when an entity is let go
)

// entity is one entity as its owner holds it in memory: what its stream says up
// to its tail. Everything in it can be thrown away and read again.
type entity struct {
	id  stream.ID
	def *catalog.Entity

	turn chan struct{} // holds a token: the mutex of the entity's turn, which can be waited for with a context

	// Under the turn.
	open    bool
	tail    stream.Tail
	folds   []catalog.Fold // by Projection.Index; nil where nobody asked yet
	recent  []stream.RecentID
	times   []commitTime // of the commits of recent, as far as they were seen; ascending
	large   []bool       // by Projection.Index: too large for a snapshot, so not marshalled for one again
	unknown string       // an event that this release does not know; "" if none
	headAt  uint64       // commit number of the last head
	born    time.Time    // of the first commit, if the stream was read from there; else zero

	told  atomic.Pointer[flow.Progress] // of a batch: its progress as of the last commit; nil if not known
	stale atomic.Bool                   // the sidecar let go of the actor during a turn: open again before the next

	// Under host.mu.
	pins   int
	active bool // the actor is called here directly: the sidecar activated it, or it was claimed
	placed bool // the sidecar activated the actor here and has not let go of it
	doomed bool // to be dropped when nobody holds it
	older  *entity
	newer  *entity
}

func newEntity(id stream.ID, def *catalog.Entity) *entity {
	e := &entity{id: id, def: def, turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	return e
}

// lock begins a turn, or fails when ctx ends first.
func (e *entity) lock(ctx context.Context) error {
	select {
	case <-e.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *entity) unlock() { e.turn <- struct{}{} }

// drop forgets everything: the next turn opens the stream again.
func (e *entity) drop() {
	e.open, e.tail, e.folds, e.recent, e.times, e.large, e.unknown, e.headAt = false, stream.Tail{}, nil, nil, nil, nil, "", 0
	e.born = time.Time{}
	e.told.Store(nil)
}

// ensure opens the stream if it is not open, and makes the folds of needs.
func (e *entity) ensure(ctx context.Context, s *System, needs []*catalog.Projection) error {
	if e.stale.Swap(false) {
		e.drop()
	}
	if !e.open {
		if err := e.load(ctx, s, needs); err != nil {
			e.drop()
			return err
		}
		e.open = true
		return nil
	}
	missing := make([]catalog.Fold, len(e.folds))
	found := false
	for _, p := range needs {
		if e.folds[p.Index] == nil {
			missing[p.Index], found = p.New(), true
		}
	}
	if !found {
		return nil
	}
	// First asked for on an open entity: fold what is committed.
	if e.tail.Number > 0 {
		for raw, err := range s.reader.Commits(ctx, e.id, 1, e.tail.Number) {
			if err != nil {
				return err
			}
			if _, err := s.apply(e.def, &raw.Commit, missing); err != nil {
				return err
			}
		}
	}
	for i, f := range missing {
		if f != nil {
			e.folds[i] = f
		}
	}
	return nil
}

// load opens the stream at its head, if that has a snapshot of all that is
// needed; else from its first commit.
func (e *entity) load(ctx context.Context, s *System, needs []*catalog.Projection) error {
	e.drop()
	e.large = make([]bool, len(e.def.Projections))
	fresh := func() {
		e.folds = make([]catalog.Fold, len(e.def.Projections))
		for _, p := range needs {
			e.folds[p.Index] = p.New()
		}
		e.recent, e.times, e.headAt = nil, nil, 0
	}
	fresh()
	tail, err := s.opener.open(&stream.Opening{ID: e.id, Resume: func(h *stream.Head) bool {
		if e.restore(h, needs) {
			return true
		}
		fresh()
		return false
	}, Use: func(raw stream.Raw) error {
		unknown, err := s.apply(e.def, &raw.Commit, e.folds)
		if unknown != "" {
			e.unknown = unknown
		}
		e.remember(&raw.Commit)
		e.begins(&raw.Commit)
		return err
	}})
	if err == nil {
		err = ctx.Err()
	}
	e.tail = tail
	e.tail.Head = nil // not kept in memory
	return err
}

// restore takes over a head's snapshots, and says whether they are enough.
func (e *entity) restore(h *stream.Head, needs []*catalog.Projection) bool {
	e.folds = restored(e.def, h, e.def.Projections)
	for _, p := range needs {
		if e.folds[p.Index] == nil {
			return false
		}
	}
	e.headAt = h.Number
	e.recent = slices.Clone(h.Recent)
	return true
}

// restored makes folds of those snapshots in a head that are of the projections
// given and of use to this release. They stand at their Projection.Index.
func restored(def *catalog.Entity, h *stream.Head, of []*catalog.Projection) []catalog.Fold {
	folds := make([]catalog.Fold, len(def.Projections))
	for _, snapshot := range h.Snapshots {
		for _, p := range of {
			if p.Name == snapshot.Projection && p.Fingerprint == snapshot.Fingerprint {
				f := p.New()
				if _, err := guard(func() (none, error) { return none{}, f.Unmarshal(snapshot.State) }); err == nil {
					folds[p.Index] = f
				}
			}
		}
	}
	return folds
}

// follow moves the tail to a commit of ours that was written.
func (e *entity) follow(c *stream.Commit, stored []byte) {
	e.tail = stream.Tail{Number: c.Number, Hash: stream.HashOf(stored), Last: c.Last(), At: c.At}
	e.remember(c)
	e.begins(c)
	e.tell()
}

// begins notes when the stream's first commit was written.
func (e *entity) begins(c *stream.Commit) {
	if c.Number == 1 {
		e.born = c.At
	}
}

// tell makes a batch's progress readable without its turn. Only a batch's: its
// stream is written by its owner, while that of another command is written by
// whoever drives it.
func (e *entity) tell() {
	for _, f := range e.folds {
		if c, ok := f.(*commandFold); ok && c.state != nil && c.state.Batch != nil {
			p := c.of(e.id.Key).Snapshot()
			e.told.Store(&p)
		}
	}
}

// remembered finds an append id among the recent ones.
func (e *entity) remembered(appendID string) *stream.RecentID {
	for i := len(e.recent) - 1; i >= 0; i-- {
		if e.recent[i].ID == appendID {
			return &e.recent[i]
		}
	}
	return nil
}

// head makes the hint from which the entity is opened next time. An entity with
// events that this release does not know gets none: a release that knows them
// must meet them.
func (e *entity) head() *stream.Head {
	h := &stream.Head{Number: e.tail.Number, Hash: e.tail.Hash, Last: e.tail.Last, At: e.tail.At}
	h.Recent = e.recent
	size := 0
	for i, f := range e.folds {
		if f == nil || e.large[i] {
			continue
		}
		state, err := guard(f.Marshal)
		if err != nil || size+len(state) > stream.MaxSnapshot {
			e.large[i] = true
			continue
		}
		size += len(state)
		p := e.def.Projections[i]
		h.Snapshots = append(h.Snapshots, stream.Snapshot{
			Projection: p.Name, Fingerprint: p.Fingerprint, Sequence: e.tail.Last, State: state,
		})
	}
	return h
}
