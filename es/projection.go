package es

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Meta is what is known of a stored event besides its data: its entity (Type and
// Key), its Sequence (1, 2, 3, ...), the time of its commit in UTC (At), and who
// caused it (Who, Source, Commentary, CorrelationID, CausationID).
type Meta = catalog.Meta

// Projection is a pure fold over an entity's stream to a state S, which starts
// at its zero value. S must come back from JSON as it was: snapshots are JSON.
type Projection[K ~string, S any] struct {
	p *catalog.Projection
}

// Handler folds one type of event into S; On and OnMeta make it.
type Handler[S any] struct {
	event reflect.Type
	apply func(state S, event any, meta *Meta) S
}

// On folds events of type E. Folds see the newest version of an event only.
func On[S any, E Event](apply func(state S, event E) S) Handler[S] {
	return Handler[S]{reflect.TypeFor[E](), func(s S, event any, _ *Meta) S {
		return apply(s, *event.(*E))
	}}
}

// OnMeta is On for folds that ask for the event's context.
func OnMeta[S any, E Event](apply func(state S, event E, meta Meta) S) Handler[S] {
	return Handler[S]{reflect.TypeFor[E](), func(s S, event any, meta *Meta) S {
		return apply(s, *event.(*E), *meta)
	}}
}

// NewProjection defines a projection of an entity. An event without a handler
// leaves the state as it is.
func NewProjection[K ~string, S any](entity *Entity[K], name string, handlers ...Handler[S]) *Projection[K, S] {
	table := make([]func(S, any, *Meta) S, len(entity.entity.Events))
	p := &catalog.Projection{
		Name:    name,
		Entity:  entity.entity,
		Version: 1,
		State:   reflect.TypeFor[S](),
		Handles: make([]bool, len(table)),
		New:     func() catalog.Fold { return &fold[S]{table: table} },
	}
	for _, h := range handlers {
		i := indexOf(entity.entity, h.event)
		switch {
		case i < 0:
			p.Faults = append(p.Faults, fmt.Errorf("projection %q handles %s, which entity %q does not declare", name, h.event, entity.entity.Name))
		case p.Handles[i]:
			p.Faults = append(p.Faults, fmt.Errorf("projection %q handles %s twice", name, h.event))
		default:
			table[i], p.Handles[i] = h.apply, true
		}
	}
	return &Projection[K, S]{p}
}

// Version says that the fold's meaning changed: snapshots taken under another
// version are ignored. Without it the version is 1.
func (p *Projection[K, S]) Version(n int) *Projection[K, S] {
	p.p.Version = n
	return p
}

func (p *Projection[K, S]) addTo(d *catalog.Domain) { d.Projections = append(d.Projections, p.p) }

func (p *Projection[K, S]) needs() []*catalog.Projection { return []*catalog.Projection{p.p} }

func (p *Projection[K, S]) read(r catalog.Reader) S { return r.Now(p.p).(*fold[S]).state }

func (p *Projection[K, S]) key(K) {}

func indexOf(e *catalog.Entity, event reflect.Type) int {
	for i, ev := range e.Events {
		if ev.Go == event {
			return i
		}
	}
	return -1
}

type fold[S any] struct {
	state S
	table []func(S, any, *Meta) S
}

func (f *fold[S]) Apply(index int, event any, meta *Meta) {
	if apply := f.table[index]; apply != nil {
		f.state = apply(f.state, event, meta)
	}
}

func (f *fold[S]) Marshal() (json.RawMessage, error) { return json.Marshal(f.state) }

func (f *fold[S]) Unmarshal(state []byte) error {
	var s S // not into f.state: what JSON leaves out must start from zero
	if err := json.Unmarshal(state, &s); err != nil {
		return err
	}
	f.state = s
	return nil
}
