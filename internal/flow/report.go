package flow

import (
	"cmp"
	"encoding/json"
	"math"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

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

// policy is how often a step is tried in all, and the pause after a try.
func policy(r catalog.Retry, attempt int) (attempts int, pause time.Duration) {
	first, factor, most := cmp.Or(r.First, 200*time.Millisecond), cmp.Or(r.Factor, 2), cmp.Or(r.Max, 30*time.Second)
	grown := float64(first) * math.Pow(factor, float64(attempt-1))
	return cmp.Or(r.Attempts, 10), time.Duration(min(grown, float64(most)))
}
