package app

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// Runtime is what the edges ask of the system behind them: *actors.System, and
// beside it what runs commands on. Every error it answers with is a
// *catalog.Fault. All of it may be called at the same time.
type Runtime interface {
	System

	// RunsOn is whoever runs commands that do not end within one turn.
	RunsOn() Runner
}

// System is what the edges ask of the entities and their streams;
// *actors.System is one.
type System interface {
	// Do runs a direct command to its end.
	Do(ctx context.Context, c actors.Command) (actors.Answer, error)

	// Start is Do without waiting: done gets the answer, once, perhaps before
	// Start returns. Commands for one entity are decided in the order of their
	// Starts. The caller bounds what is in flight.
	Start(ctx context.Context, c actors.Command, done func(actors.Answer, error))

	Project(ctx context.Context, id stream.ID, projection string, at actors.At) (actors.State, error)
	Classify(ctx context.Context, id stream.ID, classifier string, params json.RawMessage, at actors.At) (actors.Judgement, error)

	// Events reads a page of a stream; next is where the next page starts, 0 if
	// there is no more now. A stream that does not exist is not found.
	Events(ctx context.Context, id stream.ID, from uint64, limit int) (events []stream.Recorded, next uint64, err error)

	// Follow goes through the events of a stream, and then through those that
	// come, until ctx ends.
	Follow(ctx context.Context, id stream.ID, from uint64) iter.Seq2[stream.Recorded, error]

	// Verify checks a stream's chain from end to end.
	Verify(ctx context.Context, id stream.ID) (stream.Report, error)

	// Keys lists the entities of a type.
	Keys(ctx context.Context, entityType, cursor string, limit int) (keys []string, next string, err error)

	// MemberKeys lists the members of an identity group, as of a moment if one
	// is given. A page can be short although it has a next one.
	MemberKeys(ctx context.Context, g *catalog.Group, asOf *time.Time, cursor string, limit int) (keys []string, next string, err error)

	// Progress tells of one recorded command, as of a moment if one is given.
	Progress(ctx context.Context, command, id string, asOf *time.Time) (flow.Progress, error)

	// Commands lists recorded commands, newest first; empty filters let all
	// through.
	Commands(ctx context.Context, command, status, cursor string, limit int) (items []flow.Progress, next string, err error)

	// Ready says what keeps the system from serving; nil if nothing does.
	Ready(ctx context.Context) error
}

var _ System = (*actors.System)(nil)

// Runner is what the edges ask of commands that run on; *workflows.Commands is
// one. An id that is unknown, or
// another command's, is not found; what a command cannot do any more is a
// conflict.
type Runner interface {
	// Start returns once the command is durable. The same id again gets the
	// progress as it is now; with other parameters or options it is a conflict.
	Start(ctx context.Context, s workflows.Start) (flow.Progress, error)

	// Signal sends a signal. The payload is JSON, nil if there is none.
	Signal(ctx context.Context, command, id, name string, payload json.RawMessage, c stream.Context) (flow.Progress, error)
	Cancel(ctx context.Context, command, id string, c stream.Context) (flow.Progress, error)
	Pause(ctx context.Context, command, id string, c stream.Context) (flow.Progress, error)
	Resume(ctx context.Context, command, id string, c stream.Context) (flow.Progress, error)
	RetryFailed(ctx context.Context, command, id string, c stream.Context) (flow.Progress, error)

	// Failures lists a batch's failed items of its last round.
	Failures(ctx context.Context, command, id, cursor string, limit int) (items []flow.Item, next string, err error)
}

var _ Runner = (*workflows.Commands)(nil)

// Whole is a Runtime put together of a system and of what runs commands on it;
// without the latter only direct commands may come.
type Whole struct {
	*actors.System
	Runner Runner
}

// RunsOn is whoever runs commands that do not end within one turn.
func (w Whole) RunsOn() Runner { return w.Runner }

var _ Runtime = Whole{}
