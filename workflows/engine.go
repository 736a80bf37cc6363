// Package workflows runs commands and queries durably, on a workflow engine.
package workflows

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/task"
	"github.com/dapr/durabletask-go/workflow"
)

// What an engine says no with. Every other error means that it is unknown
// whether the call had its effect: ask State, or call again.
var (
	ErrExists   = errors.New("an instance with this id is active")
	ErrNotFound = errors.New("no such instance")
)

// MaxInstance is how long an instance id may be, in bytes. Dapr's scheduler takes
// names of 512 bytes, in which the id stands beside up to 110 bytes of Dapr's own,
// the app id and, twice, the namespace. An id that is too long by little starts,
// and then its activities never run.
const MaxInstance = 200

// Engine runs workflows durably. It is safe for concurrent use. A call without a
// deadline gets one (EngineConfig.CallTimeout).
//
// An instance id is 1 to MaxInstance bytes out of [A-Za-z0-9._~-], those of
// children too.
type Engine interface {
	// Work calls the registry's workflows and activities until stop has returned.
	// It returns once the engine has answered, or with why it will not before ctx
	// ends. When the engine goes away it works again by itself as soon as that is
	// back; what ran meanwhile runs again, so an activity can run more than once.
	// One Work at a time.
	//
	// stop takes no new work and waits for what runs. What still runs at the end
	// of its context has its own context cancelled, and runs again wherever work
	// is done next.
	Work(ctx context.Context, r *workflow.Registry) (stop func(context.Context) error, err error)

	// Schedule starts an instance; its input is kept as JSON. It returns once the
	// instance is durable, and does not wait for it to run; but sidecars take none
	// until somebody works at one of them. ErrExists if that id is active. An id
	// that has ended is started anew.
	Schedule(ctx context.Context, name, instance string, input any) error
	// Raise sends an event, which waits for the workflow to ask for it. ErrNotFound
	// if there is no such instance or it has ended; one that ends at this moment
	// may never see it. A repeat after an error may raise it twice.
	Raise(ctx context.Context, instance, event string) error
	// State is what the engine knows of an instance, or ErrNotFound.
	State(ctx context.Context, instance string) (State, error)
	// History is the engine's own record of an instance since it was started or
	// last continued as new: the oldest first; empty while it is pending.
	// ErrNotFound if there is no such instance.
	History(ctx context.Context, instance string) ([]Recorded, error)
	// Terminate ends an instance and its children, and returns when it has ended,
	// for which somebody must work. ErrNotFound if it has ended already.
	Terminate(ctx context.Context, instance string) error
	// Purge forgets an instance that has ended, not its children. ErrNotFound if
	// there is none, ErrExists if it is active.
	Purge(ctx context.Context, instance string) error
}

// Status is how far an instance is.
type Status string

// The statuses of an instance.
const (
	StatusPending    Status = "pending"
	StatusRunning    Status = "running"
	StatusSuspended  Status = "suspended"
	StatusStalled    Status = "stalled" // its history is too large, or its version unknown; it stays so until that changes
	StatusCompleted  Status = "completed"
	StatusFailed     Status = "failed"
	StatusTerminated Status = "terminated"
)

// Ended says whether nothing more will happen to the instance.
func (s Status) Ended() bool {
	return s == StatusCompleted || s == StatusFailed || s == StatusTerminated
}

// State is what an engine knows of an instance.
type State struct {
	Name    string // of its workflow; may be empty while it is pending
	Status  Status
	Output  string // JSON; of one that has completed
	Failure string // of one that has failed
	Created time.Time
	Updated time.Time
}

// Recorded is one event of an engine's history.
type Recorded struct {
	Event string // the engine's word for it, such as "TaskScheduled"
	Name  string // of the activity, child, event or timer, where it has one
	At    time.Time
}

// EngineConfig are the settings of both engines. The zero value of every field
// has a default.
type EngineConfig struct {
	// Turns and Activities are how many turns of workflows and how many activities
	// run here at the same time. What the engine sends beyond that waits in memory:
	// set Dapr's own limits (Configuration, spec.workflow) at or below these.
	// Default 64 and 256.
	Turns, Activities int
	CallTimeout       time.Duration // default 10 s
	Log               *slog.Logger  // default slog.Default()
}

func (c EngineConfig) withDefaults() EngineConfig {
	if c.Turns == 0 {
		c.Turns = 64
	}
	if c.Activities == 0 {
		c.Activities = 256
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Guard turns a panic of a workflow into its failure. Without it the library
// ends the process, and the next one that gets the same turn.
func Guard(log *slog.Logger, w workflow.Workflow) workflow.Workflow {
	return func(ctx *workflow.WorkflowContext) (out any, err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case task.ErrTaskBlocked: // how Await leaves a workflow that has to wait
				panic(p)
			default:
				log.Error("a workflow panicked", "workflow", ctx.Name(), "instance", ctx.ID(), "panic", p, "stack", string(debug.Stack()))
				out, err = nil, errors.New("the workflow panicked")
			}
		}()
		return w(ctx)
	}
}

func statusOf(s protos.OrchestrationStatus) Status {
	switch s {
	case workflow.StatusPending:
		return StatusPending
	case workflow.StatusSuspended:
		return StatusSuspended
	case workflow.StatusStalled:
		return StatusStalled
	case workflow.StatusCompleted:
		return StatusCompleted
	case workflow.StatusFailed:
		return StatusFailed
	case workflow.StatusTerminated, workflow.StatusCanceled:
		return StatusTerminated
	default: // running, and for a moment continued-as-new
		return StatusRunning
	}
}
