// Package catalog holds what domains define, with the authors' types erased:
// the one place where Go types become names, functions over any, and bytes.
// Package es builds it, the runtime reads it. Nothing in it changes after start.
package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Entity is a type of entity: the events its streams may hold.
type Entity struct {
	Name   string // "account"
	Type   string // "bank.account", the actor type; set by the domain
	Events []*Event

	Projections []*Projection // set by the domain, in its order

	byName map[string]*Event
	byGo   map[reflect.Type]*Event
	schema string
	faults []error
}

// Event is a type of event in its newest version.
type Event struct {
	Name    string
	Aliases []string     // names that older releases wrote
	Version int          // 1 and up
	Index   int          // its place in Entity.Events
	Go      reflect.Type // nil if its values name it themselves, by StoredAs

	// Decode turns stored data of a version up to Version into a pointer to
	// the newest Go value, through the upcasters.
	Decode func(version int, data []byte) (any, error)
}

// Event finds an event type by the name it was stored under; nil if this
// release does not know it.
func (e *Entity) Event(name string) *Event { return e.byName[name] }

// EventOf finds the type of an event that a decision returned; nil if the
// entity does not declare it.
func (e *Entity) EventOf(event any) *Event {
	if named, ok := event.(interface{ StoredAs() string }); ok {
		return e.byName[named.StoredAs()]
	}
	return e.byGo[reflect.TypeOf(event)]
}

// Schema is a fingerprint of the events and versions that this release knows.
func (e *Entity) Schema() string { return e.schema }

// Meta is what is known of a stored event besides its data.
type Meta struct {
	Type, Key     string // of the entity
	Sequence      uint64
	At            time.Time // of the commit, UTC
	Who           string
	Source        string
	Commentary    string
	CorrelationID string
	CausationID   string
	Schema        string
}

// Projection is a pure fold over one stream.
type Projection struct {
	Name        string
	Entity      *Entity
	Version     int
	Fingerprint string       // of its version and the events it handles: snapshots under another one are ignored
	State       reflect.Type // for documentation
	New         func() Fold
	Index       int     // its place in Entity.Projections; set by the domain
	Handles     []bool  // by Event.Index
	Faults      []error // found when it was defined or bound, reported by every New
}

// Fold is the running state of one projection of one stream. Not safe for
// concurrent use.
type Fold interface {
	Apply(index int, event any, meta *Meta) // index is the Event's; events it does not handle are ignored
	Marshal() (json.RawMessage, error)
	Unmarshal(state []byte) error
}

// Reader gives a decision or a classifier the folds it asked for.
type Reader interface {
	Now(p *Projection) Fold
	// Past is the fold as of a moment, inclusive. A reader that has not loaded
	// it takes note and answers with an empty fold: the outcome is then thrown
	// away, and the caller comes again with what was asked for.
	Past(p *Projection, at time.Time) Fold
}

// Verdict is a classifier's judgement of an entity.
type Verdict int

// The verdicts.
const (
	Undecided Verdict = iota
	Included
	Excluded
)

func (v Verdict) String() string {
	return [...]string{"undecided", "included", "excluded"}[v]
}

// Classifier judges an entity by a view of it.
type Classifier struct {
	Name   string
	Entity *Entity
	Params reflect.Type
	Decode func(params []byte) (any, error)
	Needs  []*Projection
	Judge  func(r Reader, params any) Verdict
}

// MarshalText makes a verdict's name its JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{Undecided, Included, Excluded} {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("%q is not a verdict", text)
}
