package actors

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// folded is an entity's state as groups need it: what its stream says up to its
// tail. It belongs to one goroutine, or to the cache.
type folded struct {
	id      stream.ID
	tail    stream.Tail
	next    time.Time      // of the commit after the tail, where one is known; else zero
	folds   []catalog.Fold // by Projection.Index; nil where no group needed it
	unknown string         // an event that this release does not know; "" if none

	bytes    int    // roughly, in memory
	measured uint64 // the sequence at which that was found
}

// standsAt says that f, which does not stand after a moment, is the entity's
// state as of it: the next commit is of later, and nothing can come between.
func (f *folded) standsAt(asOf time.Time) bool {
	return !asOf.IsZero() && asOf.Before(f.next)
}

// groups is what resolving groups keeps in this process: the entities that were
// folded, with where they stand. None is believed without a look at what its
// stream holds beyond, but that look is all that it costs.
type groups struct {
	reads     *semaphore.Weighted // bounds the chunks in memory, of all resolutions
	most      int
	mostBytes int

	mu    sync.Mutex
	held  map[stream.ID]*folded
	bytes int
}

func newGroups(reads, most, mostBytes int, metrics prometheus.Registerer) *groups {
	g := &groups{
		reads: semaphore.NewWeighted(int64(reads)), most: most, mostBytes: mostBytes,
		held: map[stream.ID]*folded{},
	}
	gauge := func(name, help string, value func() int) {
		metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "longrun", Name: name, Help: help}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(value())
		}))
	}
	gauge("group_entities", "Entities kept folded for groups.", func() int { return len(g.held) })
	gauge("group_entities_bytes", "What these take, roughly.", func() int { return g.bytes })
	return g
}

// folded takes an entity out of the cache if it has the folds of needs and does
// not stand after asOf; else it begins one anew, with what the other had too, so
// that groups do not take it from each other. The caller has it to itself: a
// resolution at the same time reads the entity from its start.
func (g *groups) folded(id stream.ID, def *catalog.Entity, needs []*catalog.Projection, asOf time.Time) *folded {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := &folded{id: id, folds: make([]catalog.Fold, len(def.Projections))}
	if held := g.held[id]; held != nil && (asOf.IsZero() || !held.tail.At.After(asOf)) {
		g.drop(held)
		if held.has(needs) {
			return held
		}
		needs = append(held.wanted(def), needs...)
	}
	for _, p := range needs {
		f.folds[p.Index] = p.New()
	}
	return f
}

func (f *folded) has(needs []*catalog.Projection) bool {
	for _, p := range needs {
		if f.folds[p.Index] == nil {
			return false
		}
	}
	return true
}

// wanted are the projections of f's folds.
func (f *folded) wanted(def *catalog.Entity) []*catalog.Projection {
	var wanted []*catalog.Projection
	for i, fold := range f.folds {
		if fold != nil {
			wanted = append(wanted, def.Projections[i])
		}
	}
	return wanted
}

func (g *groups) drop(f *folded) {
	delete(g.held, f.id)
	g.bytes -= f.bytes
}

// keep puts an entity into the cache. One that stands further on stays. Where
// there is no room any entity has to go: a resolution goes round all of them in
// the same order, and letting go of the one that was used longest ago would let
// go of just what comes next.
func (g *groups) keep(f *folded) {
	nothing := f.tail.Number == 0 && f.next.IsZero()
	if nothing || !f.measure() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if other := g.held[f.id]; other != nil {
		if other.tail.Number > f.tail.Number {
			return
		}
		g.drop(other)
	}
	g.held[f.id] = f
	g.bytes += f.bytes
	for len(g.held) > g.most || g.bytes > g.mostBytes {
		for _, one := range g.held { // in no order
			g.drop(one)
			break
		}
	}
}

// What an entity takes in memory besides its states, and what a state takes for
// each byte of its JSON.
const (
	foldedBytes    = 512
	bytesPerJSON   = 2
	measureAgainAt = 2 // times as many events
)

// measure finds roughly how much memory f takes. It is false if it is not worth
// keeping. States are written as JSON for that, not at every event.
func (f *folded) measure() bool {
	if f.bytes > 0 && f.tail.Last < measureAgainAt*f.measured {
		return true
	}
	size := foldedBytes + len(f.id.Key)
	for _, fold := range f.folds {
		if fold == nil {
			continue
		}
		state, err := guard(fold.Marshal)
		if err != nil || len(state) > stream.MaxSnapshot {
			return false
		}
		size += bytesPerJSON * len(state)
	}
	f.bytes, f.measured = size, f.tail.Last
	return true
}
