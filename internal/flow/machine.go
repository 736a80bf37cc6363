package flow

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// machine decides on one command: it collects events and folds them as it goes,
// so that what it decides next is decided on what it decided before. The state
// it began with stays as it was.
type machine struct {
	def    *catalog.Command
	params any
	state  *State
	now    time.Time
	events []Event
}

func newMachine(def *catalog.Command, s *State, now time.Time) (*machine, error) {
	m := &machine{def: def, now: now}
	var err error
	if m.state, err = s.clone(); err != nil {
		return nil, err
	}
	if s.Progress.Parameters != nil {
		m.params, err = def.Decode(s.Progress.Parameters)
	}
	return m, err
}

func (s *State) clone() (*State, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	c := new(State)
	return c, json.Unmarshal(data, c)
}

// With is the state after events, committed at a time; the state itself stays as
// it was.
func (s *State) With(events []Event, at time.Time) (*State, error) {
	c, err := s.clone()
	for _, e := range events {
		var data []byte
		if data, err = json.Marshal(e.Data); err == nil {
			err = c.Apply(e.Name, data, c.Sequence+1, at)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, err
}

func (m *machine) emit(name string, data any) error {
	stored, err := json.Marshal(data)
	if err != nil {
		return err
	}
	m.events = append(m.events, Event{name, data})
	return m.state.Apply(name, stored, m.state.Sequence+1, m.now)
}

// call is what an author's function is told.
func (m *machine) call() catalog.Call { return m.state.call(m.params, m.now) }

func (s *State) call(params any, now time.Time) catalog.Call {
	return catalog.Call{
		Params: params, ID: s.Progress.ID, At: now,
		Who: s.Caller.Who, Source: s.Caller.Source, Commentary: s.Caller.Commentary,
		CorrelationID: s.Caller.CorrelationID, CausationID: s.Caller.CausationID,
		Results: s.Results,
	}
}

// Call is what a step's function is told.
func (s *State) Call(def *catalog.Command, now time.Time) (catalog.Call, error) {
	params, err := def.Decode(s.Progress.Parameters)
	return s.call(params, now), err
}

// Start is what begins a command: everything up to its first step, or up to its
// end if it is invalid. The state must be that of no command.
func Start(def *catalog.Command, s *State, params json.RawMessage, o Options, parent *Parent, invalid *catalog.Fault, now time.Time) ([]Event, error) {
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	c := Created{Command: def.Name, Options: o, Parent: parent}
	for _, step := range def.Steps {
		c.Steps = append(c.Steps, step.Name)
	}
	err = errors.Join(m.emit(EventCreated, c), m.emit(EventParametersSet, ParametersSet{params}))
	if err != nil {
		return nil, err
	}
	if invalid != nil {
		return m.events, m.emit(EventInvalidated, Invalidated{invalid.Detail, invalid.Fields})
	}
	if m.params, err = def.Decode(params); err != nil {
		return nil, err
	}
	if err := m.emit(EventValidated, Validated{}); err != nil {
		return nil, err
	}
	return m.advanced()
}

func (m *machine) in(pause time.Duration) *time.Time {
	at := m.now.Add(pause)
	return &at
}
