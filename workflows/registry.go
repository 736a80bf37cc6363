package workflows

import (
	"context"
	"errors"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/longrun-dev/longrun/internal/flow"
)

// The names of workflows and activities: contracts with every instance that was
// ever started. A workflow that would call other things in another order gets a
// new version beside the old one.
const (
	workflowCommand  = "longrun.command.v1"
	workflowBatch    = "longrun.batch.v1"
	workflowChunk    = "longrun.chunk.v1"
	workflowItem     = "longrun.item.v1"
	workflowSchedule = "longrun.schedule.v1"

	activityDrive    = "longrun.drive.v1"
	activityPlan     = "longrun.plan.v1"
	activityItems    = "longrun.items.v1"
	activityList     = "longrun.list.v1"
	activityItem     = "longrun.item.v1"
	activityRecord   = "longrun.record.v1"
	activityFinish   = "longrun.finish.v1"
	activityDue      = "longrun.due.v1"
	eventWake        = "wake"
	maxTurns         = 40                     // of one instance, before it continues as new with an empty history
	shortestWait     = 200 * time.Millisecond // where the engine's clock says that a time has come, and the stream's does not yet
	longestWait      = 30 * 24 * time.Hour    // for a signal without a deadline, before it looks again
	passPause        = time.Minute            // until the first new look at items that go on by themselves; then twice as long
	longestPass      = 4 * time.Hour
	manyAttempts     = 1 << 20
	activityPatience = 30 * time.Second
)

// registry is everything that an engine calls.
func (c *Commands) registry() (*workflow.Registry, error) {
	r := workflow.NewRegistry()
	var errs []error
	for name, w := range map[string]workflow.Workflow{
		workflowCommand: commandV1, workflowBatch: batchV1, workflowChunk: chunkV1, workflowItem: itemV1, workflowSchedule: scheduleV1,
	} {
		errs = append(errs, r.AddWorkflowN(name, Guard(c.log, w)))
	}
	for name, a := range map[string]workflow.Activity{
		activityDrive: activityOf(func(ctx context.Context, in driveInput) (driven, error) {
			d, st, err := c.drive(ctx, in.ID)
			if err == nil && d.Ended {
				c.ended(ctx, st)
			}
			return d, err
		}),
		activityPlan:  activityOf(c.plan),
		activityItems: activityOf(c.runItems),
		activityList:  activityOf(c.listItems),
		activityItem:  activityOf(c.runItem),
		activityRecord: activityOf(func(ctx context.Context, in recordInput) (driven, error) {
			return c.recordItems(ctx, in.chunkInput, in.Items)
		}),
		activityFinish: activityOf(func(ctx context.Context, in driveInput) (driven, error) { return c.finish(ctx, in.ID) }),
		activityDue:    activityOf(c.due),
	} {
		errs = append(errs, r.AddActivityN(name, a))
	}
	return r, errors.Join(errs...)
}

// activityOf makes an activity of a function that takes its input.
func activityOf[In, Out any](f func(context.Context, In) (Out, error)) workflow.Activity {
	return func(ctx workflow.ActivityContext) (any, error) {
		var in In
		if err := ctx.GetInput(&in); err != nil {
			return nil, err
		}
		return f(ctx.Context(), in)
	}
}

// call runs an activity until it succeeds: what it does is bounded by what the
// stream says, not by how often it was tried.
func call(ctx *workflow.WorkflowContext, name string, in any) workflow.Task {
	return ctx.CallActivity(name, workflow.WithActivityInput(in), workflow.WithActivityRetryPolicy(&workflow.RetryPolicy{
		MaxAttempts: manyAttempts, InitialRetryInterval: 500 * time.Millisecond, BackoffCoefficient: 2, MaxRetryInterval: activityPatience,
	}))
}

// commandV1 drives one command of many steps. The result that the engine keeps is
// the status, for people who look there; the command's stream has all of it.
func commandV1(ctx *workflow.WorkflowContext) (any, error) {
	var in driveInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	for range maxTurns {
		var d driven
		if err := call(ctx, activityDrive, in).Await(&d); err != nil {
			return nil, err
		}
		if d.Ended {
			return d, nil
		}
		if !d.Again {
			await(ctx, d.Until)
		}
	}
	ctx.ContinueAsNew(in, workflow.WithKeepUnprocessedEvents())
	return nil, nil
}

// await waits until a time, or for being woken.
func await(ctx *workflow.WorkflowContext, until *time.Time) {
	wait := longestWait
	if until != nil {
		wait = max(shortestWait, min(wait, until.Sub(ctx.CurrentTimeUTC())))
	}
	_ = ctx.WaitForExternalEvent(eventWake, wait).Await(nil) // either way the stream says what is next
}

// batchV1 drives one batch: it resolves the group, runs chunks as children, a
// window of them at a time, and waits for items that go on by themselves.
func batchV1(ctx *workflow.WorkflowContext) (any, error) {
	var in planInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	for range maxTurns {
		var p plan
		if err := call(ctx, activityPlan, in).Await(&p); err != nil {
			return nil, err
		}
		switch {
		case p.Ended:
			return p.driven, nil
		case p.Again:
		case p.Finish:
			var d driven
			if err := call(ctx, activityFinish, driveInput{in.ID}).Await(&d); err != nil {
				return nil, err
			}
		case len(p.Chunks) > 0:
			runChunks(ctx, in.ID, p)
			// The chunks' histories make this one's long: it goes on with an empty one.
			in.Round, in.After = p.Round, p.Chunks[len(p.Chunks)-1]+1
			ctx.ContinueAsNew(in, workflow.WithKeepUnprocessedEvents())
			return nil, nil
		case p.Round == 0: // it is paused, or begins later; the chunks of before may not have run
			await(ctx, p.Until)
			in.Round, in.After, in.Pass = 0, 0, 0
		default: // all were handed out: what has no outcome goes on by itself
			later := ctx.CurrentTimeUTC().Add(min(passPause<<min(in.Pass, 10), longestPass))
			await(ctx, &later)
			in.Round, in.After, in.Pass = 0, 0, in.Pass+1
		}
	}
	ctx.ContinueAsNew(in, workflow.WithKeepUnprocessedEvents())
	return nil, nil
}

// runChunks runs chunks, a window of them at a time, until all have come back. A
// chunk that fails has its items run in a later pass.
func runChunks(ctx *workflow.WorkflowContext, id string, p plan) {
	var flying []workflow.Task
	for _, n := range p.Chunks {
		if len(flying) >= max(1, p.Window) {
			_ = flying[0].Await(nil)
			flying = flying[1:]
		}
		in := chunkRun{chunkInput{id, p.Round, n}, p.Direct}
		flying = append(flying, ctx.CallChildWorkflow(workflowChunk, workflow.WithChildWorkflowInput(in)))
	}
	for _, t := range flying {
		_ = t.Await(nil)
	}
}

// chunkRun is a chunk and how it is run.
type chunkRun struct {
	chunkInput
	Direct bool `json:"direct,omitempty"`
}

// recordInput is the outcomes of a chunk's items.
type recordInput struct {
	chunkInput
	Items []flow.Item `json:"items"`
}

// chunkV1 runs one chunk: direct items in activities, many at a time; others there
// too, as far as they go without waiting, and then as children, which come back
// when they have ended or have to wait.
func chunkV1(ctx *workflow.WorkflowContext) (any, error) {
	var in chunkRun
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	for range maxTurns {
		var d driven
		if in.Direct {
			if err := call(ctx, activityItems, in.chunkInput).Await(&d); err != nil {
				return nil, err
			}
			if !d.Again {
				return d, nil
			}
			continue
		}
		var items []itemInput
		if err := call(ctx, activityList, in.chunkInput).Await(&items); err != nil {
			return nil, err
		}
		running := make([]workflow.Task, len(items))
		for i, item := range items {
			running[i] = ctx.CallChildWorkflow(workflowItem, workflow.WithChildWorkflowInput(item))
		}
		record := recordInput{chunkInput: in.chunkInput}
		for _, t := range running {
			var d driven
			if t.Await(&d) == nil && d.Item != nil {
				record.Items = append(record.Items, *d.Item)
			}
		}
		if len(record.Items) > 0 {
			if err := call(ctx, activityRecord, record).Await(&d); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	ctx.ContinueAsNew(in)
	return nil, nil
}

// itemV1 runs one item that is a command of many steps, as far as it goes without
// waiting.
func itemV1(ctx *workflow.WorkflowContext) (any, error) {
	var in itemInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	var d driven
	err := call(ctx, activityItem, in).Await(&d)
	return d, err
}
