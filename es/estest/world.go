package estest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// World is a few entities with one clock, for what is about more than one of
// them. It belongs to one goroutine.
type World struct {
	t       testing.TB
	catalog *catalog.Catalog
	now     time.Time
	who     string
	streams map[subject]*Stream
	order   []*Stream // as they were first asked for
	runs    int
}

type subject struct{ entity, key string }

// NewWorld is a world in which nothing has happened. A domain with faults ends
// the test.
func NewWorld(t testing.TB, domain es.Domain) *World {
	t.Helper()
	c, err := catalog.New(domain.Catalog())
	if err != nil {
		t.Fatalf("the domain has faults:\n%v", err)
	}
	return &World{t: t, catalog: c, now: Start, streams: map[subject]*Stream{}}
}

// Entity is an entity of the world, always the same one for one key.
func Entity[K ~string](w *World, entity *es.Entity[K], key K) *Stream {
	w.t.Helper()
	e := only(entity).Entities[0]
	if w.catalog.Entities[e.Type] != e {
		w.t.Fatalf("entity %q is not in the domain", e.Name)
	}
	return w.stream(e, string(key))
}

func (w *World) stream(e *catalog.Entity, key string) *Stream {
	of := subject{e.Type, key}
	if w.streams[of] == nil {
		w.streams[of] = &Stream{t: w.t, world: w, entity: e, key: key}
		w.order = append(w.order, w.streams[of])
	}
	return w.streams[of]
}

// At moves the clock: what follows is committed, asked and judged at that time.
// Time does not go back once something has happened.
func (w *World) At(now time.Time) *World {
	w.t.Helper()
	begun := w.runs > 0
	for _, s := range w.order {
		begun = begun || len(s.log) > 0
	}
	if now.Before(w.now) && begun {
		w.t.Fatalf("time goes back from %s to %s", w.now, now)
	}
	w.now = now.UTC()
	return w
}

// By says who causes what follows.
func (w *World) By(who string) *World {
	w.who = who
	return w
}

// asked checks a request and reads its parameters out of their JSON. What the
// command's Valid says of them is invalid.
func (w *World) asked(r Request) (data json.RawMessage, params any, ok bool, invalid error) {
	w.t.Helper()
	if w.catalog.Commands[r.command.Name] != r.command {
		w.t.Fatalf("command %q is not in the domain", r.command.Local)
		return nil, nil, false, nil
	}
	data, err := json.Marshal(r.params)
	if err != nil {
		w.t.Fatalf("parameters of %s: %v", r.command.Name, err)
		return nil, nil, false, nil
	}
	params, ok, invalid = w.decode(r.command, data)
	return data, params, ok, invalid
}

func (w *World) decode(c *catalog.Command, data json.RawMessage) (params any, ok bool, invalid error) {
	w.t.Helper()
	params, err := c.Decode(data)
	if err != nil {
		w.t.Fatalf("parameters of %s, %s: %v", c.Name, data, err)
		return nil, false, nil
	}
	if c.Check != nil {
		invalid = c.Check(params)
	}
	return params, true, invalid
}
