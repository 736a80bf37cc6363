package estest

import (
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

// DoAll asks for a batch; World.Run takes it.
func DoAll[P any](batch *es.Batch[P], params P) Request {
	return Request{only(batch).Commands[0], params}
}

// When asks for a command at the time of the clock. Its entity must be the one
// under test. What it appends has happened to the entity from then on.
func (s *Stream) When(r Request) *Outcome {
	s.t.Helper()
	o := &Outcome{t: s.t, before: len(s.log), stream: s}
	_, params, ok, refused := s.world.asked(r)
	if !ok {
		return o
	}
	d := r.command.Direct()
	if d == nil {
		s.t.Fatalf("command %q does not end in one turn: use World.Run", r.command.Name)
		return o
	}
	if key := d.Key(params); d.Entity != s.entity || key != s.key {
		s.t.Fatalf("%s is about %q of %q, the test about %q of %q", r.command.Name, key, d.Entity.Type, s.key, s.entity.Type)
		return o
	}
	if refused != nil {
		o.err = refused
		return o
	}
	call := catalog.Call{Params: params, ID: fmt.Sprintf("command-%d", len(s.log)+1), At: s.world.now, Who: s.world.who}
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
