package es

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Step is one step of a command with parameters P: a Decide, Look, Judge, Act,
// Choose, Wait or Delay.
type Step[P any] interface {
	addSteps(to *[]*catalog.Step, in []catalog.Branch)
	in(P)
}

// Retry says how often a step is tried that fails for no reason of the domain's.
// What Reject made is never tried again. Attempts is how often in all (10), First
// the pause after the first try (200 ms), Factor how much longer each next one is
// (2), and Max the longest (30 s); a zero field means what is in brackets. The
// step's undoing is tried as often.
type Retry = catalog.Retry

// step is what all kinds of steps have.
type step[P, R any] struct {
	s *catalog.Step
}

func newStep[P, R any](name string) step[P, R] {
	s := &catalog.Step{Name: name}
	if t := reflect.TypeFor[R](); t != reflect.TypeFor[None]() {
		s.Result = t
	}
	return step[P, R]{s}
}

func (s step[P, R]) addSteps(to *[]*catalog.Step, in []catalog.Branch) {
	one := *s.s // a step may be in several commands, and in a way of one of them
	one.In = in
	*to = append(*to, &one)
}

func (s step[P, R]) in(P) {}

// Of is the step's result, for later steps of the same command; the zero value
// if the step did not run.
func (s step[P, R]) Of(c Call[P]) R { return resultOf[P, R](s.s.Name, c) }

// Ran says whether the step has completed in this command.
func (s step[P, R]) Ran(c Call[P]) bool {
	_, ran := c.results[s.s.Name]
	return ran
}

func (s step[P, R]) when(holds func(Call[P]) bool) {
	s.s.When = func(c catalog.Call) bool { return holds(callOf[P](c)) }
}

// DecideStep is a decision on one entity.
type DecideStep[P, R any] struct{ step[P, R] }

// Decide makes a step: key says which entity, v what is read of it, and decide
// answers with the events to append and a result. No events is a success too.
// An error made by Reject or Invalid is the caller's answer; any other error,
// and a panic, is a fault of this code and appends nothing.
func Decide[P any, K ~string, S, R any](name string, key func(P) K, v View[K, S], decide func(S, Call[P]) (Events, R, error)) *DecideStep[P, R] {
	s := newStep[P, R](name)
	d := decision(name, key, v, decide)
	s.s.Decision = &d
	return &DecideStep[P, R]{s}
}

func decision[P any, K ~string, S, R any](name string, key func(P) K, v View[K, S], decide func(S, Call[P]) (Events, R, error)) catalog.Decision {
	needs := v.needs()
	return catalog.Decision{
		Step:   name,
		Entity: needs[0].Entity,
		Needs:  needs,
		Result: reflect.TypeFor[R](),
		Key:    func(params any) string { return string(key(*params.(*P))) },
		Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
			events, result, err := decide(v.read(r), callOf[P](c))
			if err != nil {
				return catalog.Outcome{}, err
			}
			return outcomeOf(name, events, result)
		},
	}
}

func outcomeOf(step string, events Events, result any) (out catalog.Outcome, err error) {
	for _, e := range events {
		out.Events = append(out.Events, e)
	}
	out.Result, err = resultJSON(step, result)
	return out, err
}

// MustBeNew refuses (conflict) an entity that has events already.
func (s *DecideStep[P, R]) MustBeNew() *DecideStep[P, R] {
	s.s.Decision.MustBeNew = true
	return s
}

// MustExist refuses (conflict) an entity without events.
func (s *DecideStep[P, R]) MustExist() *DecideStep[P, R] {
	s.s.Decision.MustExist = true
	return s
}

// When leaves the step out unless holds says otherwise; it may look at earlier
// results.
func (s *DecideStep[P, R]) When(holds func(Call[P]) bool) *DecideStep[P, R] {
	s.when(holds)
	return s
}

// Undo says what is appended to the step's entity if a later step fails, under a
// name of its own. It cannot refuse: what was decided must be undone.
func (s *DecideStep[P, R]) Undo(name string, undo func(Call[P]) Events) *DecideStep[P, R] {
	d := *s.s.Decision
	d.Step, d.Needs, d.MustBeNew, d.MustExist, d.Result, d.Undoes = name, nil, false, false, nil, true
	d.Decide = func(_ catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
		return outcomeOf(name, undo(callOf[P](c)), None{})
	}
	s.s.Undo = &catalog.Undo{Name: name, Decision: &d}
	return s
}

// Retry replaces the defaults of how often the step is tried.
func (s *DecideStep[P, R]) Retry(r Retry) *DecideStep[P, R] {
	s.s.Retry = r
	return s
}

// UndoBy is Undo for what depends on the entity's state, and may fail: then it is
// tried again, and at last left to people.
func UndoBy[P any, K ~string, S, R any](s *DecideStep[P, R], name string, v View[K, S], undo func(S, Call[P]) (Events, error)) *DecideStep[P, R] {
	d := *s.s.Decision
	d.Step, d.Needs, d.MustBeNew, d.MustExist, d.Result, d.Undoes = name, v.needs(), false, false, nil, true
	d.Decide = func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
		events, err := undo(v.read(r), callOf[P](c))
		if err != nil {
			return catalog.Outcome{}, err
		}
		return outcomeOf(name, events, None{})
	}
	s.s.Undo = &catalog.Undo{Name: name, Decision: &d}
	return s
}

// ReadStep reads one entity; its result is an event of the command's stream, so
// that what follows from it can be understood later.
type ReadStep[P, R any] struct{ step[P, R] }

// Look makes a step whose result is a view of an entity, as it is then.
func Look[P any, K ~string, S any](name string, key func(P) K, v View[K, S]) *ReadStep[P, S] {
	return read(name, key, v, func(s S, _ Call[P]) S { return s })
}

// Judge makes a step whose result is a classifier's verdict on an entity.
func Judge[P any, K ~string, Q any](name string, key func(P) K, c *Classifier[K, Q], with func(Call[P]) Q) *ReadStep[P, Verdict] {
	k := c.c
	s := newStep[P, Verdict](name)
	s.s.Look = &catalog.Look{
		Entity: k.Entity, Needs: k.Needs,
		Key: func(params any) string { return string(key(*params.(*P))) },
		Read: func(r catalog.Reader, c catalog.Call) (json.RawMessage, error) {
			q := with(callOf[P](c))
			return resultJSON(name, k.Judge(r, &q))
		},
	}
	return &ReadStep[P, Verdict]{s}
}

func read[P any, K ~string, S, R any](name string, key func(P) K, v View[K, S], result func(S, Call[P]) R) *ReadStep[P, R] {
	needs := v.needs()
	s := newStep[P, R](name)
	s.s.Look = &catalog.Look{
		Entity: needs[0].Entity, Needs: needs,
		Key: func(params any) string { return string(key(*params.(*P))) },
		Read: func(r catalog.Reader, c catalog.Call) (json.RawMessage, error) {
			return resultJSON(name, result(v.read(r), callOf[P](c)))
		},
	}
	return &ReadStep[P, R]{s}
}

// When leaves the step out unless holds says otherwise.
func (s *ReadStep[P, R]) When(holds func(Call[P]) bool) *ReadStep[P, R] {
	s.when(holds)
	return s
}

// ActStep is an effect outside of Longrun.
type ActStep[P, R any] struct{ step[P, R] }

// Act makes a step that has an effect outside: a payment, an e-mail, a call of
// another service. It is tried again after an error or a crash, so it gives
// Call.Key to whom it calls. An error made by Reject is that system's no and is
// final. The text of an error is kept in the command's stream, where callers read
// it. ctx ends after Timeout.
func Act[P, R any](name string, act func(ctx context.Context, c Call[P]) (R, error)) *ActStep[P, R] {
	s := newStep[P, R](name)
	s.s.Act = func(ctx context.Context, c catalog.Call) (json.RawMessage, error) {
		r, err := act(ctx, callOf[P](c))
		if err != nil {
			return nil, err
		}
		return resultJSON(name, r)
	}
	return &ActStep[P, R]{s}
}

// When leaves the step out unless holds says otherwise.
func (s *ActStep[P, R]) When(holds func(Call[P]) bool) *ActStep[P, R] {
	s.when(holds)
	return s
}

// Undo says how the effect is undone if a later step fails, under a name of its
// own. It is tried again as the step is, with a Call.Key of its own.
func (s *ActStep[P, R]) Undo(name string, undo func(ctx context.Context, c Call[P]) error) *ActStep[P, R] {
	s.s.Undo = &catalog.Undo{Name: name, Act: func(ctx context.Context, c catalog.Call) error {
		return undo(ctx, callOf[P](c))
	}}
	return s
}

// Retry replaces the defaults of how often the step is tried.
func (s *ActStep[P, R]) Retry(r Retry) *ActStep[P, R] {
	s.s.Retry = r
	return s
}

// Timeout bounds one try, of the undoing too; it is a minute without.
func (s *ActStep[P, R]) Timeout(d time.Duration) *ActStep[P, R] {
	s.s.Timeout = d
	return s
}

// DelayStep waits for a time.
type DelayStep[P any] struct{ step[P, None] }

// Delay makes a step that only takes time: hours and months too.
func Delay[P any](name string, long func(Call[P]) time.Duration) *DelayStep[P] {
	s := newStep[P, None](name)
	s.s.Delay = func(c catalog.Call) time.Duration { return long(callOf[P](c)) }
	return &DelayStep[P]{s}
}

// When leaves the step out unless holds says otherwise.
func (s *DelayStep[P]) When(holds func(Call[P]) bool) *DelayStep[P] {
	s.when(holds)
	return s
}

// WaitStep waits for a signal.
type WaitStep[P, S any] struct{ step[P, Waited[S]] }

// Waited is what a Wait came to.
type Waited[S any] struct {
	Signal   S    `json:"signal"`
	TimedOut bool `json:"timedOut,omitempty"`
}

// Wait makes a step that ends with a signal, which callers send to the command
// under its name with a payload of type S (None for none). A signal that comes
// before the step has begun counts. After the deadline the step fails, and what
// was done before is undone, unless OrGoOn says otherwise.
func Wait[P, S any](name, signal string, within func(Call[P]) time.Duration) *WaitStep[P, S] {
	s := newStep[P, Waited[S]](name)
	decode := func(payload []byte) (w Waited[S], err error) {
		if _, none := any(w.Signal).(None); none && len(payload) == 0 {
			return w, nil
		}
		return w, decodeStrictly(payload, &w.Signal)
	}
	s.s.Wait = &catalog.Wait{
		Signal: signal, Payload: reflect.TypeFor[S](),
		Within: func(c catalog.Call) time.Duration { return within(callOf[P](c)) },
		Decode: func(payload []byte) error {
			_, err := decode(payload)
			return err
		},
		Signalled: func(payload []byte) (json.RawMessage, error) {
			w, err := decode(payload)
			if err != nil {
				return nil, err
			}
			return json.Marshal(w)
		},
	}
	return &WaitStep[P, S]{s}
}

// OrGoOn makes the deadline a result (TimedOut) in place of a failure.
func (s *WaitStep[P, S]) OrGoOn() *WaitStep[P, S] {
	s.s.Wait.TimedOut, _ = json.Marshal(Waited[S]{TimedOut: true}) // the author's type is checked with the domain
	return s
}

// When leaves the step out unless holds says otherwise.
func (s *WaitStep[P, S]) When(holds func(Call[P]) bool) *WaitStep[P, S] {
	s.when(holds)
	return s
}

// ChooseStep takes one of several ways.
type ChooseStep[P any] struct {
	step[P, string]
	ways [][]Step[P]
}

// Way is one way that a Choose can take: the steps of it are skipped if it takes
// another one.
type Way[P any] struct {
	name  string
	steps []Step[P]
}

// Path makes a Way. One without steps is fine.
func Path[P any](name string, steps ...Step[P]) Way[P] { return Way[P]{name, steps} }

// Choose makes a step whose result is the name of the way to take.
func Choose[P any](name string, pick func(Call[P]) string, ways ...Way[P]) *ChooseStep[P] {
	s := &ChooseStep[P]{step: newStep[P, string](name)}
	choose := &catalog.Choose{Pick: func(c catalog.Call) string { return pick(callOf[P](c)) }}
	for _, w := range ways {
		choose.Ways = append(choose.Ways, w.name)
		s.ways = append(s.ways, w.steps)
	}
	s.s.Choose = choose
	return s
}

func (s *ChooseStep[P]) addSteps(to *[]*catalog.Step, in []catalog.Branch) {
	s.step.addSteps(to, in)
	for i, way := range s.ways {
		branch := slices.Concat(in, []catalog.Branch{{Choice: s.s.Name, Way: s.s.Choose.Ways[i]}})
		for _, inner := range way {
			inner.addSteps(to, branch)
		}
	}
}
