package flow

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// CommandType is the entity type of command streams; the key is the command's id.
const CommandType = "longrun.command"

// The events of a command stream. A direct command writes created to
// step-completed and its end in one append.
const (
	EventCreated       = "created"
	EventParametersSet = "parameters-set"
	EventValidated     = "validated"
	EventInvalidated   = "invalidated"

	EventStepInitiated = "step-initiated"
	EventStepCompleted = "step-completed"
	EventStepRejected  = "step-rejected"
	EventStepFailed    = "step-failed"
	EventStepSettled   = "step-settled"
	EventStepSkipped   = "step-skipped"

	EventSignalled       = "signalled"
	EventCancelRequested = "cancel-requested"

	EventCompensationStarted   = "compensation-started"
	EventCompensationCompleted = "compensation-completed"
	EventCompensationFailed    = "compensation-failed"
	EventCompensationRetried   = "compensation-retried"

	EventCompleted   = "completed"
	EventRejected    = "rejected"
	EventFailed      = "failed"
	EventCompensated = "compensated"
	EventCancelled   = "cancelled"
)

// Event is one event of a command stream before it is stored; Data is JSON.
type Event struct {
	Name string
	Data any
}

// Created opens a command stream.
type Created struct {
	Command string   `json:"command"`
	Steps   []string `json:"steps,omitempty"` // of a command with many
	Options
	Parent *Parent `json:"parent,omitempty"` // of an item of a batch
}

// Options say how a command is to run. All of them are optional.
type Options struct {
	StartAt           *time.Time `json:"startAt,omitempty"`
	DryRun            bool       `json:"dryRun,omitempty"`
	RatePerSecond     float64    `json:"ratePerSecond,omitempty"`
	StopAfterFailures int        `json:"stopAfterFailures,omitempty"`
}

// Parent is the batch of which a command is an item.
type Parent struct {
	Batch string `json:"batch"`
	Round int    `json:"round"`
	Chunk int    `json:"chunk"`
	Index int    `json:"index"` // in the chunk
	Key   string `json:"key"`   // of the member
	Try   int    `json:"try,omitempty"`
}

// ParametersSet holds the parameters as the caller gave them.
type ParametersSet struct {
	Parameters json.RawMessage `json:"parameters"`
}

// Validated says that the parameters keep to the command's schema.
type Validated struct{}

// Invalidated says that they do not; it ends the command.
type Invalidated struct {
	Detail string          `json:"detail"`
	Errors []catalog.Field `json:"errors,omitempty"`
}

// StepInitiated says that a step begins, and which entity it is about, or until
// when it waits.
type StepInitiated struct {
	Step   string     `json:"step"`
	Entity string     `json:"entity,omitempty"`
	Key    string     `json:"key,omitempty"`
	Signal string     `json:"signal,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
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

// StepFailed says that a try did not succeed. With RetryAt it is tried again
// then. Without, the step is given up: Unknown says that what it should do may
// have happened and is settled next, Unresolved that nobody can tell.
type StepFailed struct {
	Step       string     `json:"step"`
	Detail     string     `json:"detail"`
	RetryAt    *time.Time `json:"retryAt,omitempty"`
	Unknown    bool       `json:"unknown,omitempty"`
	Unresolved bool       `json:"unresolved,omitempty"`
}

// StepSettled says that a step that was given up did not happen and never will.
// One that did happen has completed, and the command goes on.
type StepSettled struct {
	Step string `json:"step"`
}

// StepSkipped says that a step is left out.
type StepSkipped struct {
	Step string `json:"step"`
}

// Signalled is a signal that came.
type Signalled struct {
	Signal  string          `json:"signal"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Requested is who asked for something: the context says it.
type Requested struct{}

// Compensation is one step's undoing.
type Compensation struct {
	Step     string     `json:"step"`
	Undo     string     `json:"undo"`
	Entity   string     `json:"entity,omitempty"`
	Key      string     `json:"key,omitempty"`
	Sequence uint64     `json:"sequence,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	RetryAt  *time.Time `json:"retryAt,omitempty"`
	Left     []string   `json:"left,omitempty"` // steps still to be undone, when it was given up
}

// Completed ends a command; Result is its last step's.
type Completed struct {
	Result json.RawMessage `json:"result,omitempty"`
}

// Refused ends a command that did not do what it should, and says why.
type Refused struct {
	Code   catalog.Code `json:"code,omitempty"` // rejected if absent
	Reason string       `json:"reason,omitempty"`
	Detail string       `json:"detail"`
}

func (r *Refused) fault() *catalog.Fault {
	code := r.Code
	if code == "" {
		code = catalog.Rejected
	}
	return &catalog.Fault{Code: code, Reason: r.Reason, Detail: r.Detail}
}

// Direct is everything that one recorded direct command writes to its stream:
// at the end of its one turn, in one append.
func Direct(command string, params json.RawMessage, step StepInitiated, sequence uint64, result json.RawMessage, rejection *catalog.Fault) []Event {
	events := []Event{
		{EventCreated, Created{Command: command}},
		{EventParametersSet, ParametersSet{params}},
		{EventValidated, Validated{}},
		{EventStepInitiated, step},
	}
	if rejection != nil {
		return append(events,
			Event{EventStepRejected, StepRejected{step.Step, rejection.Reason, rejection.Detail}},
			Event{EventRejected, Refused{Reason: rejection.Reason, Detail: rejection.Detail}})
	}
	return append(events,
		Event{EventStepCompleted, StepCompleted{step.Step, sequence, result}},
		Event{EventCompleted, Completed{result}})
}
