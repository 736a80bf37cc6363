package estest

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Request is a command to be asked for; Do makes it.
type Request struct {
	command *catalog.Command
	params  any
}

// Do asks for a command. Its parameters reach it through their JSON.
func Do[P any](command *es.Command[P], params P) Request {
	return Request{only(command).Commands[0], params}
}

// When asks for a command at the time of the clock. Its entity must be the one
// under test. What it appends has happened to the entity from then on.
func (s *Stream) When(r Request) *Outcome {
	s.t.Helper()
	o := &Outcome{t: s.t, before: len(s.log), stream: s}
	if s.catalog.Commands[r.command.Name] != r.command {
		s.t.Fatalf("command %q is not in the domain", r.command.Local)
		return o
	}
	data, err := json.Marshal(r.params)
	if err != nil {
		s.t.Fatalf("parameters of %s: %v", r.command.Name, err)
		return o
	}
	params, err := r.command.Decode(data)
	if err != nil {
		s.t.Fatalf("parameters of %s, %s: %v", r.command.Name, data, err)
		return o
	}
	d := r.command.Direct()
	if d == nil {
		s.t.Fatalf("command %q runs on: test its steps", r.command.Name)
		return o
	}
	if key := d.Key(params); d.Entity != s.entity || key != s.key {
		s.t.Fatalf("%s is about %q of %q, the test about %q of %q", r.command.Name, key, d.Entity.Type, s.key, s.entity.Type)
		return o
	}
	call := catalog.Call{Params: params, ID: fmt.Sprintf("command-%d", len(s.log)+1), At: s.now, Who: s.who}
	outcome, err := s.decide(d, call)
	o.result, o.err = outcome.Result, err
	for _, e := range outcome.Events {
		s.append(e, call.ID)
	}
	return o
}

// decide answers as an entity's owner does.
func (s *Stream) decide(d *catalog.Decision, call catalog.Call) (catalog.Outcome, error) {
	s.t.Helper()
	switch exists := len(s.log) > 0; {
	case d.MustBeNew && exists:
		return catalog.Outcome{}, catalog.Faultf(catalog.Conflict, "%s %q exists already", s.entity.Type, s.key)
	case d.MustExist && !exists:
		return catalog.Outcome{}, catalog.Faultf(catalog.Conflict, "%s %q does not exist", s.entity.Type, s.key)
	}
	var outcome, again catalog.Outcome
	var err, errAgain error
	s.read(func(r catalog.Reader) { outcome, err = d.Decide(r, call) })
	s.read(func(r catalog.Reader) { again, errAgain = d.Decide(r, call) })
	if !reflect.DeepEqual(outcome, again) || !reflect.DeepEqual(err, errAgain) {
		s.t.Errorf("step %q is not a pure function: asked twice it answered %+v (%v), then %+v (%v)",
			d.Step, outcome, err, again, errAgain)
	}
	return outcome, err
}
