package estest

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Projected is a projection of the entity under test; Projection makes it.
type Projected[S any] struct {
	stream *Stream
	p      *catalog.Projection
	log    []recorded
}

// Projection asks for a projection of all that happened so far.
func Projection[K ~string, S any](s *Stream, p *es.Projection[K, S]) Projected[S] {
	return Projected[S]{s, only(p).Projections[0], s.log}
}

// AsOf asks for the state at a moment instead: what was committed at or before it.
func (p Projected[S]) AsOf(at time.Time) Projected[S] {
	p.log = asOf(p.stream.log, at)
	return p
}

// Is expects this state; they are compared as JSON.
func (p Projected[S]) Is(want S) {
	p.stream.t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		p.stream.t.Fatalf("expected state of %q: %v", p.p.Name, err)
		return
	}
	if got := p.marshal(p.fold()); got != string(data) {
		p.stream.t.Errorf("projection %q is %s, expected %s", p.p.Name, got, data)
	}
}

// State is the state, as its JSON comes back.
func (p Projected[S]) State() S {
	p.stream.t.Helper()
	var state S
	if err := json.Unmarshal([]byte(p.marshal(p.fold())), &state); err != nil {
		p.stream.t.Fatalf("projection %q: %v", p.p.Name, err)
	}
	return state
}

// fold folds the events and, to compare, goes on from a snapshot taken half way.
func (p Projected[S]) fold() catalog.Fold {
	p.stream.t.Helper()
	half := len(p.log) / 2
	whole, resumed := fold(p.p, p.log), p.p.New()
	if err := resumed.Unmarshal([]byte(p.marshal(fold(p.p, p.log[:half])))); err != nil {
		p.stream.t.Fatalf("projection %q cannot read its snapshot: %v", p.p.Name, err)
		return whole
	}
	apply(resumed, p.log[half:])
	if straight, snapshot := p.marshal(whole), p.marshal(resumed); straight != snapshot {
		p.stream.t.Errorf("projection %q does not survive a snapshot: %s, but %s after one at sequence %d", p.p.Name, straight, snapshot, half)
	}
	return whole
}

func (p Projected[S]) marshal(f catalog.Fold) string {
	p.stream.t.Helper()
	data, err := f.Marshal()
	if err != nil {
		p.stream.t.Fatalf("projection %q: %v", p.p.Name, err)
	}
	return string(data)
}
