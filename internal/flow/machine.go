package flow

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
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

// Report is what a try of a step, or of its undoing, came to.
type Report struct {
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Undo    bool   `json:"undo,omitempty"`
	Settle  bool   `json:"settle,omitempty"`

	Status   string          `json:"status"` // completed, rejected, failed, or settled: it did not happen
	Sequence uint64          `json:"sequence,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Detail   string          `json:"detail,omitempty"`
}

// StatusSettled is the status of a Report on what did not happen and never will.
const StatusSettled = "settled"

// Accept takes a report: the first one on a try counts, others are dropped.
func Accept(def *catalog.Command, s *State, r Report, now time.Time) ([]Event, error) {
	at := s.Current
	if r.Undo {
		at = s.Undoing
	}
	if s.Progress.Ended() || at == nil || at.Step != r.Step || at.Until != nil || at.Settle != r.Settle ||
		r.retries() && at.Attempt != r.Attempt || r.Undo && s.Stuck {
		return nil, nil
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	step, err := m.known(r.Step)
	if err != nil {
		return nil, err
	}
	if r.Undo {
		err = m.undone(step, r)
	} else {
		err = m.tried(step, r)
	}
	if err != nil {
		return nil, err
	}
	return m.advanced()
}

// retries says whether another try may follow, so that the report is about this
// one alone: what has happened, or was refused, is so whichever try it was.
func (r *Report) retries() bool {
	return r.Status == StatusFailed || r.Undo && r.Status != StatusCompleted
}

// tried says what became of a step.
func (m *machine) tried(step *catalog.Step, r Report) error {
	switch r.Status {
	case StatusCompleted:
		return m.emit(EventStepCompleted, StepCompleted{r.Step, r.Sequence, r.Result})
	case StatusSettled:
		return m.emit(EventStepSettled, StepSettled{r.Step})
	case StatusRejected:
		return m.emit(EventStepRejected, StepRejected{r.Step, r.Reason, r.Detail})
	}
	f := StepFailed{Step: r.Step, Detail: r.Detail}
	attempts, pause := policy(step.Retry, r.Attempt)
	switch {
	case r.Settle: // which is tried for ever: without it nobody knows what is to be undone
		_, pause = policy(catalog.Retry{}, r.Attempt)
		f.RetryAt = m.in(pause)
	case r.Attempt < attempts && !m.state.Cancelling:
		f.RetryAt = m.in(pause)
	default:
		return m.giveUp(r.Detail)
	}
	return m.emit(EventStepFailed, f)
}

// giveUp ends the tries of the step that is under way.
func (m *machine) giveUp(why string) error {
	step, err := m.known(m.state.Current.Step)
	if err != nil {
		return err
	}
	return m.emit(EventStepFailed, StepFailed{Step: step.Name, Detail: why, Unknown: step.Decision != nil, Unresolved: step.Act != nil})
}

func (m *machine) undone(step *catalog.Step, r Report) error {
	c := m.compensation(step)
	if r.Status == StatusCompleted {
		c.Sequence = r.Sequence
		return m.emit(EventCompensationCompleted, c)
	}
	c.Detail = r.Detail
	if r.Reason != "" {
		c.Detail = r.Reason + ": " + r.Detail
	}
	if attempts, pause := policy(step.Retry, r.Attempt); r.Attempt < attempts {
		c.RetryAt = m.in(pause)
	} else {
		for left := step; left != nil; left = m.state.toUndo(m.def, append(c.Left, m.state.Undone...)) {
			c.Left = append(c.Left, left.Name)
		}
	}
	return m.emit(EventCompensationFailed, c)
}

func (m *machine) compensation(step *catalog.Step) Compensation {
	about := m.state.Subjects[step.Name]
	return Compensation{Step: step.Name, Undo: step.Undo.Name, Entity: about.Entity, Key: about.Key}
}

func (m *machine) in(pause time.Duration) *time.Time {
	at := m.now.Add(pause)
	return &at
}

// policy is how often a step is tried in all, and the pause after a try.
func policy(r catalog.Retry, attempt int) (attempts int, pause time.Duration) {
	first, factor, most := cmp.Or(r.First, 200*time.Millisecond), cmp.Or(r.Factor, 2), cmp.Or(r.Max, 30*time.Second)
	grown := float64(first) * math.Pow(factor, float64(attempt-1))
	return cmp.Or(r.Attempts, 10), time.Duration(min(grown, float64(most)))
}

// Signal takes a signal. A *catalog.Fault refuses it.
func Signal(def *catalog.Command, s *State, name string, payload json.RawMessage, now time.Time) ([]Event, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	if name == catalog.SignalRetryCompensation {
		if !s.Stuck {
			return nil, catalog.Faultf(catalog.Conflict, "no compensation of the command has failed: it is %s", s.Progress.Status)
		}
		if err := m.emit(EventCompensationRetried, Requested{}); err != nil {
			return nil, err
		}
		return m.advanced()
	}
	wait := def.Signal(name)
	if wait == nil {
		return nil, catalog.Faultf(catalog.Conflict, "command %s declares no signal %q", def.Name, name)
	}
	if err := wait.Decode(payload); err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the payload of signal %q: %v", name, err)
	}
	if _, came := s.Signals[name]; came {
		return nil, catalog.Faultf(catalog.Conflict, "signal %q has come already", name)
	}
	if s.Cancelling || s.Failure != nil || !s.waitsFor(def, wait) {
		return nil, catalog.Faultf(catalog.Conflict, "nothing waits for signal %q any more", name)
	}
	if len(payload)+s.sizeOfSignals() > MaxSignals {
		return nil, catalog.Faultf(catalog.TooLarge, "the payloads of all signals of a command may have %d bytes", MaxSignals)
	}
	if err := m.emit(EventSignalled, Signalled{name, payload}); err != nil {
		return nil, err
	}
	return m.advanced()
}

// waitsFor says whether a wait has not ended, or not begun yet.
func (s *State) waitsFor(def *catalog.Command, wait *catalog.Wait) bool {
	for _, step := range def.Steps {
		if step.Wait == wait {
			p := s.Progress.Step(step.Name)
			return p == nil || p.Status == StatusPending || p.Status == StatusWaiting
		}
	}
	return false
}

// Cancel asks a command to end: nothing new begins, and what is completed is
// undone, unless the last step completes meanwhile. A *catalog.Fault refuses it.
func Cancel(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.Cancelling || def.Batch == nil && s.Failure != nil {
		return nil, catalog.Faultf(catalog.Conflict, "the command is being undone already")
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	if err := m.emit(EventCancelRequested, Requested{}); err != nil {
		return nil, err
	}
	return m.advanced()
}

// open refuses what is asked of a command that is not there or has ended.
func (s *State) open() error {
	switch {
	case s.Progress.Command == "":
		return catalog.Faultf(catalog.NotFound, "no command with id %q", s.Progress.ID)
	case s.Progress.Ended():
		return catalog.Faultf(catalog.Conflict, "the command has ended: it is %s", s.Progress.Status)
	}
	return nil
}

// Tick does what is due by time alone: a start, the end of a delay or of a wait.
func Tick(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if s.Progress.Ended() {
		return nil, nil
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	return m.advanced()
}

// advanced goes on until somebody else must do something, and returns the events.
func (m *machine) advanced() ([]Event, error) {
	for {
		before := len(m.events)
		if err := m.step(); err != nil {
			return nil, err
		}
		if len(m.events) == before {
			return m.events, nil
		}
	}
}

// step decides one thing more, if it can.
func (m *machine) step() error {
	s := m.state
	switch {
	case s.Progress.Ended() || s.Undoing != nil:
		return nil
	case s.Current != nil && s.Current.Until != nil:
		return m.endWait()
	case s.Current != nil && s.Cancelling && !s.Current.Settle && s.Current.RetryAt != nil && s.Current.RetryAt.After(m.now):
		return m.giveUp(s.Progress.Step(s.Current.Step).Message) // no try is under way, and none begins
	case s.Current != nil:
		return nil
	case m.def.Batch != nil:
		return m.stepBatch()
	case s.Failure != nil || s.Cancelling && (!s.begun() || len(s.Undone) > 0):
		return m.stepBack()
	case !s.Cancelling && s.Options.StartAt != nil && s.Options.StartAt.After(m.now):
		return nil
	}
	for _, step := range m.def.Steps {
		if p := s.Progress.Step(step.Name); p == nil || p.Status == StatusPending {
			return m.next(step)
		}
	}
	return m.emit(EventCompleted, Completed{m.result()}) // all is done: a cancel that came meanwhile came too late
}

// begun says whether a step has begun, or was left out.
func (s *State) begun() bool {
	for i := range s.Progress.Steps {
		if s.Progress.Steps[i].Status != StatusPending {
			return true
		}
	}
	return false
}

// next initiates a step, or skips it. A command that is being cancelled turns
// back instead of initiating one.
func (m *machine) next(step *catalog.Step) error {
	skip, err := m.skips(step)
	switch {
	case skip:
		return m.emit(EventStepSkipped, StepSkipped{step.Name})
	case m.state.Cancelling:
		return m.stepBack()
	case err != nil:
		return m.failsToBegin(StepInitiated{Step: step.Name}, err)
	}
	return m.begin(step)
}

// skips says whether a step is left out: another way was taken, or its When says
// so.
func (m *machine) skips(step *catalog.Step) (skip bool, err error) {
	for _, in := range step.In {
		var way string
		if r := m.state.Results[in.Choice]; json.Unmarshal(r, &way) != nil || way != in.Way {
			return true, nil
		}
	}
	if step.When != nil {
		err = guard(func() { skip = !step.When(m.call()) })
	}
	return skip, err
}

// failsToBegin gives up a step whose code failed before anything was done.
func (m *machine) failsToBegin(began StepInitiated, why error) error {
	if err := m.emit(EventStepInitiated, began); err != nil {
		return err
	}
	return m.emit(EventStepFailed, StepFailed{Step: began.Step, Detail: why.Error()})
}

// result is that of the last step that has one.
func (m *machine) result() json.RawMessage {
	for _, step := range slices.Backward(m.def.Steps) {
		if r := m.state.Results[step.Name]; step.Result != nil && len(r) > 0 {
			return r
		}
	}
	return nil
}

// begin initiates a step. A choice is made at once.
func (m *machine) begin(step *catalog.Step) error {
	began := StepInitiated{Step: step.Name}
	var way string
	err := guard(func() {
		switch {
		case step.Decision != nil:
			began.Entity, began.Key = step.Decision.Entity.Type, step.Decision.Key(m.params)
		case step.Look != nil:
			began.Entity, began.Key = step.Look.Entity.Type, step.Look.Key(m.params)
		case step.Wait != nil:
			began.Signal, began.Until = step.Wait.Signal, m.in(step.Wait.Within(m.call()))
		case step.Delay != nil:
			began.Until = m.in(step.Delay(m.call()))
		case step.Choose != nil:
			way = step.Choose.Pick(m.call())
		}
	})
	if err == nil && step.Choose != nil && !slices.Contains(step.Choose.Ways, way) {
		err = fmt.Errorf("there is no way %q", way)
	}
	if err != nil {
		return m.failsToBegin(began, err)
	}
	if err := m.emit(EventStepInitiated, began); err != nil || step.Choose == nil {
		return err
	}
	result, err := json.Marshal(way)
	if err != nil {
		return err
	}
	return m.emit(EventStepCompleted, StepCompleted{Step: step.Name, Result: result})
}

// endWait ends a wait or a delay that is over.
func (m *machine) endWait() error {
	s := m.state
	step, err := m.known(s.Current.Step)
	if err != nil {
		return err
	}
	payload, came := s.Signals[stepSignal(step)]
	switch over := !m.now.Before(*s.Current.Until); {
	case s.Cancelling:
		return m.emit(EventStepFailed, StepFailed{Step: step.Name, Detail: "the command was cancelled"})
	case step.Wait != nil && came:
		result, err := step.Wait.Signalled(payload)
		if err != nil {
			return m.emit(EventStepFailed, StepFailed{Step: step.Name, Detail: err.Error()})
		}
		return m.emit(EventStepCompleted, StepCompleted{Step: step.Name, Result: result})
	case !over:
		return nil
	case step.Delay != nil || step.Wait.TimedOut != nil:
		var result json.RawMessage
		if step.Wait != nil {
			result = step.Wait.TimedOut
		}
		return m.emit(EventStepCompleted, StepCompleted{Step: step.Name, Result: result})
	default:
		return m.emit(EventStepRejected, StepRejected{step.Name, "timed-out", fmt.Sprintf("signal %q did not come in time", step.Wait.Signal)})
	}
}

// known finds a step that has begun: another release may have begun it.
func (m *machine) known(name string) (*catalog.Step, error) {
	if step := m.def.Step(name); step != nil {
		return step, nil
	}
	return nil, catalog.Faultf(catalog.Unavailable, "command %s has no step %q in this release", m.def.Name, name)
}

func stepSignal(step *catalog.Step) string {
	if step.Wait == nil {
		return ""
	}
	return step.Wait.Signal
}

// stepBack undoes the last completed step that is not undone, or ends.
func (m *machine) stepBack() error {
	s := m.state
	if step := s.toUndo(m.def, s.Undone); step != nil {
		return m.emit(EventCompensationStarted, m.compensation(step))
	}
	why := s.Failure
	switch {
	case s.Cancelling:
		return m.emit(EventCancelled, Requested{})
	case m.def.Direct() != nil && why.Code == "":
		return m.emit(EventRejected, *why)
	case len(s.Undone) > 0:
		return m.emit(EventCompensated, *why)
	default:
		return m.emit(EventFailed, *why)
	}
}

// toUndo is the last step with an effect that is not among the undone; an effect
// of which nobody knows is undone as well.
func (s *State) toUndo(def *catalog.Command, undone []string) *catalog.Step {
	for _, step := range slices.Backward(def.Steps) {
		if step.Undo == nil || slices.Contains(undone, step.Name) {
			continue
		}
		p := s.Progress.Step(step.Name)
		if p != nil && (p.Status == StatusCompleted || slices.Contains(s.Unresolved, step.Name)) {
			return step
		}
	}
	return nil
}

// guard turns a panic in an author's code into an error.
func guard(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the step's code panicked: %v", p)
		}
	}()
	f()
	return nil
}
