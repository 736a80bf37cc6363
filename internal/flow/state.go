package flow

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// State is all that a command stream says of its command: the progress that
// callers see, and where its steps stand. Apply folds it; everything else in
// this package only reads it.
type State struct {
	Progress Progress                   `json:"progress"`
	Options  Options                    `json:"options,omitzero"`
	Parent   *Parent                    `json:"parent,omitempty"`
	Sequence uint64                     `json:"sequence"` // of the last event
	At       time.Time                  `json:"at"`       // of its commit
	Caller   Caller                     `json:"caller"`
	Results  map[string]json.RawMessage `json:"results,omitempty"` // of completed steps
	Signals  map[string]json.RawMessage `json:"signals,omitempty"` // the first of each name
	Subjects map[string]Subject         `json:"subjects,omitempty"`

	Current    *Try     `json:"current,omitempty"` // the step that has begun and not ended
	Undoing    *Try     `json:"undoing,omitempty"` // the step that is being undone
	Undone     []string `json:"undone,omitempty"`
	Unresolved []string `json:"unresolved,omitempty"` // effects of which nobody knows whether they happened
	Cancelling bool     `json:"cancelling,omitempty"`
	Failure    *Refused `json:"failure,omitempty"` // why the completed steps are undone
	Stuck      bool     `json:"stuck,omitempty"`   // an undoing was given up

	Batch *BatchState `json:"batch,omitempty"`
}

// Caller is who asked for a command, from the context of its first event.
type Caller struct {
	Who           string `json:"who,omitempty"`
	Source        string `json:"source,omitempty"`
	Commentary    string `json:"commentary,omitempty"`
	CorrelationID string `json:"correlationId,omitempty"`
	CausationID   string `json:"causationId,omitempty"`
}

// Subject is the entity that a step is about.
type Subject struct {
	Entity   string `json:"entity"`
	Key      string `json:"key"`
	Sequence uint64 `json:"sequence,omitempty"` // after the step
}

// Try is a step, or an undoing, under way.
type Try struct {
	Step    string     `json:"step"`
	Attempt int        `json:"attempt"`           // 1 for the first
	Since   time.Time  `json:"since"`             // when it began: no append of it is older
	RetryAt *time.Time `json:"retryAt,omitempty"` // not before
	Until   *time.Time `json:"until,omitempty"`   // a wait's or a delay's end
	Settle  bool       `json:"settle,omitempty"`  // given up; what became of it must be found out
}

// Snapshot is the progress as it is now: what is folded later does not change it.
func (s *State) Snapshot() Progress {
	p := s.Progress
	p.Steps = slices.Clone(p.Steps)
	if p.Steps == nil {
		p.Steps = []Step{}
	}
	if p.Items != nil {
		items := *p.Items
		p.Items = &items
	}
	if p.Error != nil {
		fault := *p.Error
		p.Error = &fault
	}
	return p
}

// Apply folds one stored event.
func (s *State) Apply(name string, data []byte, sequence uint64, at time.Time) error {
	s.Sequence, s.At = sequence, at
	fold, known := folds[name]
	if !known {
		return fmt.Errorf("a command stream holds an event %q that this release does not know", name)
	}
	if err := fold(s, data, at); err != nil {
		return fmt.Errorf("event %s of a command stream: %w", name, err)
	}
	return nil
}

// Known are the names of all events of command streams.
func Known() []string {
	var all []string
	for name := range folds {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Knows says whether this release knows an event of command streams.
func Knows(name string) bool { return folds[name] != nil }

// on makes a fold of what an event says.
func on[T any](fold func(s *State, e T, at time.Time)) func(*State, []byte, time.Time) error {
	return func(s *State, data []byte, at time.Time) error {
		var e T
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		fold(s, e, at)
		return nil
	}
}

var folds = map[string]func(*State, []byte, time.Time) error{
	EventCreated:               on((*State).created),
	EventParametersSet:         on(func(s *State, e ParametersSet, _ time.Time) { s.Progress.Parameters = e.Parameters }),
	EventValidated:             on(func(*State, Validated, time.Time) {}),
	EventInvalidated:           on((*State).invalidated),
	EventStepInitiated:         on((*State).stepInitiated),
	EventStepCompleted:         on((*State).stepCompleted),
	EventStepRejected:          on((*State).stepRejected),
	EventStepFailed:            on((*State).stepFailed),
	EventStepSettled:           on((*State).stepSettled),
	EventStepSkipped:           on(func(s *State, e StepSkipped, _ time.Time) { s.step(e.Step).Status = StatusSkipped }),
	EventSignalled:             on((*State).signalled),
	EventCancelRequested:       on((*State).cancelRequested),
	EventCompensationStarted:   on((*State).compensationStarted),
	EventCompensationCompleted: on((*State).compensationCompleted),
	EventCompensationFailed:    on((*State).compensationFailed),
	EventCompensationRetried:   on((*State).compensationRetried),
	EventCompleted: on(func(s *State, e Completed, at time.Time) {
		s.end(StatusCompleted, nil, at)
		s.Progress.Result = e.Result
	}),
	EventCompletedWithFailures: on(func(s *State, e CompletedWithFailures, at time.Time) {
		s.end(StatusCompletedWithFailures, nil, at)
		if e.Detail != "" {
			s.Progress.Error = &catalog.Fault{Code: catalog.Rejected, Reason: e.Reason, Detail: e.Detail}
		}
	}),
	EventRejected:    on(func(s *State, e Refused, at time.Time) { s.end(StatusRejected, &e, at) }),
	EventFailed:      on(func(s *State, e Refused, at time.Time) { s.end(StatusFailed, &e, at) }),
	EventCompensated: on(func(s *State, e Refused, at time.Time) { s.end(StatusCompensated, &e, at) }),
	EventCancelled:   on(func(s *State, _ Requested, at time.Time) { s.end(StatusCancelled, nil, at) }),

	EventGroupFixed:    on((*State).groupFixed),
	EventMembers:       on((*State).members),
	EventMembersSealed: on((*State).membersSealed),
	EventItemsRecorded: on((*State).itemsRecorded),
	EventPaused:        on(func(s *State, _ Requested, _ time.Time) { s.Progress.Status, s.Batch.Paused = StatusPaused, true }),
	EventResumed:       on(func(s *State, _ Requested, _ time.Time) { s.Progress.Status, s.Batch.Paused = StatusRunning, false }),
	EventStopped:       on(func(s *State, _ Stopped, _ time.Time) { s.Batch.Stopped = true }),
	EventRetryStarted:  on((*State).retryStarted),
}

func (s *State) created(e Created, at time.Time) {
	s.Progress.Command, s.Progress.CreatedAt, s.Progress.Status = e.Command, at, StatusCreated
	s.Progress.Steps = []Step{}
	for _, name := range e.Steps {
		s.Progress.Steps = append(s.Progress.Steps, Step{Name: name, Status: StatusPending})
	}
	s.Options, s.Parent = e.Options, e.Parent
	if e.StartAt != nil && e.StartAt.After(at) {
		s.Progress.Status = StatusScheduled
	}
}

func (s *State) invalidated(e Invalidated, at time.Time) {
	s.end(StatusInvalid, &Refused{Code: catalog.Invalid, Detail: e.Detail}, at)
	s.Progress.Error.Fields = e.Errors
}

// step finds a step, or makes it: a direct command's stream does not list them.
func (s *State) step(name string) *Step {
	if step := s.Progress.Step(name); step != nil {
		return step
	}
	s.Progress.Steps = append(s.Progress.Steps, Step{Name: name})
	return &s.Progress.Steps[len(s.Progress.Steps)-1]
}

func (s *State) stepInitiated(e StepInitiated, at time.Time) {
	s.Progress.Status = StatusRunning
	s.Current = &Try{Step: e.Step, Attempt: 1, Since: at, Until: e.Until}
	step := s.step(e.Step)
	step.Status, step.StartedAt, step.Attempts = StatusRunning, &at, 1
	if e.Until != nil {
		s.Progress.Status, step.Status = StatusWaiting, StatusWaiting
	}
	s.subject(e.Step, Subject{e.Entity, e.Key, 0})
}

func (s *State) subject(step string, about Subject) {
	if about.Entity == "" {
		return
	}
	if s.Subjects == nil {
		s.Subjects = map[string]Subject{}
	}
	s.Subjects[step] = about
}

func (s *State) stepCompleted(e StepCompleted, at time.Time) {
	s.Current, s.Progress.Status = nil, StatusRunning
	step := s.step(e.Step)
	step.Status, step.CompletedAt, step.Message, step.Result = StatusCompleted, &at, "", e.Result
	if s.Results == nil {
		s.Results = map[string]json.RawMessage{}
	}
	s.Results[e.Step] = e.Result
	about := s.Subjects[e.Step]
	about.Sequence = e.Sequence
	s.subject(e.Step, about)
}

func (s *State) stepRejected(e StepRejected, at time.Time) {
	step := s.step(e.Step)
	step.Status, step.CompletedAt, step.Message = StatusRejected, &at, e.Reason+": "+e.Detail
	s.fail(Refused{Reason: e.Reason, Detail: e.Detail})
}

func (s *State) stepFailed(e StepFailed, at time.Time) {
	step := s.step(e.Step)
	if !s.Current.Settle { // why it was given up stays
		step.Message = e.Detail
	}
	switch {
	case e.RetryAt != nil:
		s.Current.Attempt++
		s.Current.RetryAt = e.RetryAt
		if !s.Current.Settle {
			step.Attempts = s.Current.Attempt
		}
	case e.Unknown:
		s.Current = &Try{Step: e.Step, Attempt: 1, Since: s.Current.Since, Settle: true}
	default:
		step.Status, step.CompletedAt = StatusFailed, &at
		if e.Unresolved {
			s.Unresolved = append(s.Unresolved, e.Step)
		}
		s.fail(gaveUp(step))
	}
}

func (s *State) stepSettled(e StepSettled, at time.Time) {
	step := s.step(e.Step)
	step.Status, step.CompletedAt = StatusFailed, &at
	s.fail(gaveUp(step))
}

// gaveUp is why a command fails of which a step was given up.
func gaveUp(step *Step) Refused {
	return Refused{Code: catalog.Unavailable, Detail: "step " + step.Name + ": " + step.Message}
}

// fail ends the way forward: what is completed will be undone.
func (s *State) fail(why Refused) {
	s.Current, s.Progress.Status = nil, StatusRunning
	s.noteFailure(why)
}

func (s *State) noteFailure(why Refused) {
	if s.Failure == nil {
		s.Failure = &why
	}
}

func (s *State) signalled(e Signalled, _ time.Time) {
	if s.Signals == nil {
		s.Signals = map[string]json.RawMessage{}
	}
	if _, first := s.Signals[e.Signal]; !first {
		s.Signals[e.Signal] = e.Payload
	}
}

func (s *State) cancelRequested(Requested, time.Time) {
	s.Cancelling = true
	if !s.Stuck {
		s.Progress.Status = StatusRunning
	}
}

func (s *State) compensationStarted(e Compensation, at time.Time) {
	s.Progress.Status = StatusRunning
	s.Undoing = &Try{Step: e.Step, Attempt: 1, Since: at}
}

func (s *State) compensationCompleted(e Compensation, _ time.Time) {
	s.Undoing, s.Stuck = nil, false
	s.Undone = append(s.Undone, e.Step)
	step := s.step(e.Step)
	step.Status, step.Message = StatusCompensated, ""
}

func (s *State) compensationFailed(e Compensation, _ time.Time) {
	s.step(e.Step).Message = "undoing it: " + e.Detail
	s.Undoing.Attempt++
	s.Undoing.RetryAt = e.RetryAt
	if e.RetryAt == nil {
		s.Stuck, s.Progress.Status = true, StatusCompensationFailed
		s.Progress.Error = &catalog.Fault{Code: catalog.Unavailable, Reason: StatusCompensationFailed, Detail: fmt.Sprintf("still to be undone: %v; %s", e.Left, e.Detail)}
	}
}

func (s *State) compensationRetried(Requested, time.Time) {
	s.Stuck, s.Progress.Status, s.Progress.Error = false, StatusRunning, nil
	s.Undoing = &Try{Step: s.Undoing.Step, Attempt: 1, Since: s.Undoing.Since}
}

func (s *State) end(status string, why *Refused, at time.Time) {
	s.Progress.Status, s.Progress.EndedAt = status, &at
	s.Current, s.Undoing = nil, nil
	if why != nil {
		s.Progress.Error = why.fault()
	}
}
