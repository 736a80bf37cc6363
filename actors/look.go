package actors

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Look runs a step that reads an entity, through its owner, and answers with the
// step's result. An entity that never existed is read as one without events.
func (s *System) Look(ctx context.Context, c Command) (State, error) {
	step, err := s.lookOf(c)
	if err != nil {
		return State{}, err
	}
	params, err := s.catalog.Commands[c.Name].Decode(c.Params)
	if err != nil {
		return State{}, catalog.Faultf(catalog.Invalid, "parameters of %s: %v", c.Name, err)
	}
	id := stream.ID{Type: step.Entity.Type, Key: step.Key(params)}
	p := newPacker(len(c.Params) + len(c.Results) + 256)
	c.pack(p)
	state, err := read(ctx, s, id, methodLook, readRequest{Name: c.Name, Params: p.b}, s.lookNow)
	if errors.Is(err, errLarge) {
		return State{}, catalog.Faultf(catalog.TooLarge, "what step %s read of %s is larger than a message", c.Step, id)
	}
	return state, err
}

func (s *System) lookOf(c Command) (*catalog.Look, error) {
	if def := s.catalog.Commands[c.Name]; def != nil {
		if step := def.Step(c.Step); step != nil && step.Look != nil {
			return step.Look, nil
		}
	}
	return nil, catalog.Faultf(catalog.NotFound, "step %q of command %q reads nothing", c.Step, c.Name)
}

func (s *System) lookNow(ctx context.Context, e *entity, r readRequest) (State, error) {
	var c Command
	u := newUnpacker(r.Params)
	c.unpack(u)
	if err := u.end(); err != nil {
		return State{}, err
	}
	look, err := s.lookOf(c)
	if err != nil {
		return State{}, err
	}
	told := catalog.Call{
		ID: c.ID, At: s.now().UTC(), Who: c.Context.Who, Source: c.Context.Source, Commentary: c.Context.Commentary,
		CorrelationID: c.Context.CorrelationID, CausationID: c.Context.CausationID,
	}
	if told.Params, err = s.catalog.Commands[c.Name].Decode(c.Params); err != nil {
		return State{}, err
	}
	if len(c.Results) > 0 {
		if err := json.Unmarshal(c.Results, &told.Results); err != nil {
			return State{}, err
		}
	}
	past := &call{}
	for {
		state, err := s.lookOnce(ctx, e, look, told, past)
		if err != nil || len(past.missing) == 0 {
			return state, err
		}
		if err := s.loadPast(ctx, e.id, e.def, past); err != nil {
			return State{}, err
		}
	}
}

// lookOnce reads in a turn of its own. If it asked for a past that is not
// loaded, its answer is void.
func (s *System) lookOnce(ctx context.Context, e *entity, look *catalog.Look, c catalog.Call, past *call) (State, error) {
	if err := e.lock(ctx); err != nil {
		return State{}, err
	}
	defer e.unlock()
	if err := s.fresh(ctx, e, look.Needs, true); err != nil && !isNotFound(err) {
		return State{}, err
	}
	if e.unknown != "" {
		return State{}, catalog.Faultf(catalog.Unavailable, "%s holds an event of a newer release: %s", e.id, e.unknown)
	}
	r := &turnReader{folds: e.folds, tail: e.tail.At, now: e.tail.At, call: past}
	result, err := guard(func() (json.RawMessage, error) { return look.Read(r, c) })
	if err != nil && len(past.missing) == 0 {
		s.log.Error("a step that reads failed", "id", c.ID, "stream", e.id, "error", err)
		return State{}, catalog.Faultf(catalog.Internal, "the step failed")
	}
	return State{result, e.tail.Last, e.tail.At}, nil
}
