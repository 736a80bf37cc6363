package workflows

import (
	"context"

	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/workflow"
)

// Registry is everything that an engine calls.
func (c *Commands) Registry() (*workflow.Registry, error) { return c.registry() }

// Executor is what the engine has workflows and activities run by: the worker at
// the other end of its connection.
func (e *Embedded) Executor() backend.Executor { return e.executor }

// SetExecutor puts another one in its place, before Work.
func (e *Embedded) SetExecutor(x backend.Executor) { e.executor = x }

// WorkWithoutStore has a worker run what the Executor is given, and nothing that
// the store holds.
func (e *Embedded) WorkWithoutStore(ctx context.Context, r *workflow.Registry) (stop func(context.Context) error, err error) {
	return e.engine.Work(ctx, r)
}
