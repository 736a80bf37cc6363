package flow

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/longrun-dev/longrun/internal/catalog"
)

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
		if err := json.Unmarshal(m.state.Results[in.Choice], &way); err != nil || way != in.Way {
			return true, nil //nolint:nilerr // a choice that was not made took no way
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
