// Package es is what the author of a domain imports: entities, events,
// projections, classifiers, commands and batches, as Go values and pure functions.
//
// Names are contracts on the wire: streams and callers hold them, so they are
// chosen by the author and never derived from Go types. Functions given to this
// package are pure: no clock, no random numbers, no I/O; time and ids come with
// the call. They may be called at the same time and more than once for one
// command, and must not change what they are given. Only an Act has an effect.
package es

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Event is a fact. Its data is the JSON of the value; its name is stored with
// it and is lower-case letters, digits and dashes.
type Event interface {
	EventName() string
}

// Events are what a decision appends: in order, all or nothing.
type Events []Event

// None stands where a command has no result or a classifier no parameters.
type None struct{}

// EventDef declares one type of event to NewEntity.
type EventDef struct {
	event *catalog.Event
}

// EventOption is given to EventOf.
type EventOption func(*eventOptions)

type eventOptions struct {
	aliases   []string
	upcasters []func([]byte) ([]byte, error)
}

// EventOf declares the event type E. Its schema version is one more than the
// number of upcasters.
func EventOf[E Event](options ...EventOption) EventDef {
	var zero E
	var o eventOptions
	for _, option := range options {
		option(&o)
	}
	return EventDef{event: &catalog.Event{
		Name:    zero.EventName(),
		Aliases: o.aliases,
		Version: len(o.upcasters) + 1,
		Go:      reflect.TypeFor[E](),
		Decode: func(version int, data []byte) (any, error) {
			if version < 1 || version > len(o.upcasters)+1 {
				return nil, fmt.Errorf("event %s has version %d, this release knows 1 to %d",
					zero.EventName(), version, len(o.upcasters)+1)
			}
			var err error
			for _, up := range o.upcasters[version-1:] {
				if data, err = up(data); err != nil {
					return nil, fmt.Errorf("upcast %s: %w", zero.EventName(), err)
				}
			}
			e := new(E)
			if err := json.Unmarshal(data, e); err != nil {
				return nil, fmt.Errorf("decode %s: %w", zero.EventName(), err)
			}
			return e, nil
		},
	}}
}

// Upcast turns the stored JSON of one version into that of the next. Given in
// order: the first takes version 1 to 2, the second 2 to 3.
func Upcast(up func(data []byte) ([]byte, error)) EventOption {
	return func(o *eventOptions) { o.upcasters = append(o.upcasters, up) }
}

// Was is an Upcast by Go types: Old is the shape of one version, New of the next.
func Was[Old, New any](up func(Old) New) EventOption {
	return Upcast(func(data []byte) ([]byte, error) {
		var old Old
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		return json.Marshal(up(old))
	})
}

// Formerly gives names under which older releases stored the event.
func Formerly(names ...string) EventOption {
	return func(o *eventOptions) { o.aliases = append(o.aliases, names...) }
}
