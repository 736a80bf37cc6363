// Package flow holds the step machines behind commands, free of I/O: events of
// an instance's own stream in, progress and actions out.
package flow

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// CommandType is the entity type of command streams; the key is the command's id.
const CommandType = "longrun.command"

// The statuses of a command and of a step (API.md). Rejected serves both.
const (
	StatusCreated   = "created"
	StatusRunning   = "running"
	StatusCompleted = "completed"
	StatusRejected  = "rejected"
)

// The events of a command stream.
const (
	EventCreated       = "created"
	EventParametersSet = "parameters-set"
	EventValidated     = "validated"
	EventStepInitiated = "step-initiated"
	EventStepCompleted = "step-completed"
	EventStepRejected  = "step-rejected"
	EventCompleted     = "completed"
	EventRejected      = "rejected"
)

// Event is one event of a command stream before it is stored; Data is JSON.
type Event struct {
	Name string
	Data any
}

// Created opens a command stream.
type Created struct {
	Command string `json:"command"`
}

// ParametersSet holds the parameters as the caller gave them.
type ParametersSet struct {
	Parameters json.RawMessage `json:"parameters"`
}

// Validated says that the parameters keep to the command's schema.
type Validated struct{}

// StepInitiated names the entity that a step is about.
type StepInitiated struct {
	Step   string `json:"step"`
	Entity string `json:"entity"`
	Key    string `json:"key"`
}

// StepCompleted holds a step's result, and the entity's sequence after it.
type StepCompleted struct {
	Step     string          `json:"step"`
	Sequence uint64          `json:"sequence"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// StepRejected holds the domain's no.
type StepRejected struct {
	Step   string `json:"step"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Completed ends a command; Result is its last step's.
type Completed struct {
	Result json.RawMessage `json:"result,omitempty"`
}

// Refused ends a direct command that the domain rejected.
type Refused struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Direct is everything that one recorded direct command writes to its stream:
// at the end of its one turn, in one append.
func Direct(command string, params json.RawMessage, step StepInitiated, sequence uint64, result json.RawMessage, rejection *catalog.Fault) []Event {
	events := []Event{
		{EventCreated, Created{command}},
		{EventParametersSet, ParametersSet{params}},
		{EventValidated, Validated{}},
		{EventStepInitiated, step},
	}
	if rejection != nil {
		return append(events,
			Event{EventStepRejected, StepRejected{step.Step, rejection.Reason, rejection.Detail}},
			Event{EventRejected, Refused{rejection.Reason, rejection.Detail}})
	}
	return append(events,
		Event{EventStepCompleted, StepCompleted{step.Step, sequence, result}},
		Event{EventCompleted, Completed{result}})
}

// Progress is what a command stream tells of its command; the JSON is API.md's.
type Progress struct {
	ID         string          `json:"id"`
	Command    string          `json:"command"`
	Status     string          `json:"status"`
	CreatedAt  time.Time       `json:"createdAt"`
	EndedAt    *time.Time      `json:"endedAt,omitempty"`
	Parameters json.RawMessage `json:"parameters"`
	Steps      []Step          `json:"steps"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      *catalog.Fault  `json:"error,omitempty"`
}

// Step is the progress of one step.
type Step struct {
	Name        string          `json:"name"`
	Status      string          `json:"status"`
	StartedAt   *time.Time      `json:"startedAt"`
	CompletedAt *time.Time      `json:"completedAt"`
	Attempts    int             `json:"attempts"`
	Message     string          `json:"message"`
	Result      json.RawMessage `json:"result,omitempty"`

	// Of a decision: the entity, and its sequence after the step.
	Entity   string `json:"-"`
	Key      string `json:"-"`
	Sequence uint64 `json:"-"`
}

// Ended says whether nothing more will happen to the command.
func (p *Progress) Ended() bool { return p.EndedAt != nil }

// Apply folds one stored event of the command stream, committed at a time.
func (p *Progress) Apply(name string, data []byte, at time.Time) error {
	switch name {
	case EventCreated:
		e, err := decode[Created](name, data)
		p.Command, p.CreatedAt, p.Status = e.Command, at, StatusCreated
		p.Steps = []Step{}
		return err
	case EventParametersSet:
		e, err := decode[ParametersSet](name, data)
		p.Parameters = e.Parameters
		return err
	case EventValidated:
		return nil
	case EventStepInitiated:
		e, err := decode[StepInitiated](name, data)
		p.Status = StatusRunning
		p.Steps = append(p.Steps, Step{Name: e.Step, Status: StatusRunning, StartedAt: &at, Attempts: 1, Entity: e.Entity, Key: e.Key})
		return err
	case EventStepCompleted:
		e, err := decode[StepCompleted](name, data)
		if err != nil {
			return err
		}
		return p.step(e.Step, func(s *Step) {
			s.Status, s.CompletedAt, s.Sequence, s.Result = StatusCompleted, &at, e.Sequence, e.Result
		})
	case EventStepRejected:
		e, err := decode[StepRejected](name, data)
		if err != nil {
			return err
		}
		return p.step(e.Step, func(s *Step) {
			s.Status, s.CompletedAt, s.Message = StatusRejected, &at, e.Reason+": "+e.Detail
		})
	case EventCompleted:
		e, err := decode[Completed](name, data)
		p.Status, p.EndedAt, p.Result = StatusCompleted, &at, e.Result
		return err
	case EventRejected:
		e, err := decode[Refused](name, data)
		p.Status, p.EndedAt = StatusRejected, &at
		p.Error = &catalog.Fault{Code: catalog.Rejected, Reason: e.Reason, Detail: e.Detail}
		return err
	}
	return fmt.Errorf("a command stream holds an event %q that this release does not know", name)
}

func (p *Progress) step(name string, change func(*Step)) error {
	for i := range p.Steps {
		if p.Steps[i].Name == name {
			change(&p.Steps[i])
			return nil
		}
	}
	return fmt.Errorf("step %q was never initiated", name)
}

func decode[T any](name string, data []byte) (T, error) {
	var t T
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("event %s of a command stream: %w", name, err)
	}
	return t, nil
}
