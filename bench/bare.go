package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// The bare workflows: what one writes on Dapr alone. Their activities append by
// the core's fastest way, an unrecorded command on an entity that lives in this
// process, so that only the way of running them on differs.
const (
	bareThree  = "bench.bare.three"  // three activities, one after the other
	bareFanOut = "bench.bare.fanout" // a child for each item
	bareOne    = "bench.bare.one"    // a child with one activity
	bareAppend = "bench.bare.append"
)

// bare is the baseline of commands that run on.
type bare struct {
	*actors.System
	client *workflow.Client
}

// appendInput is one append of a bare workflow.
type appendInput struct {
	Command string `json:"command"`
	Counter string `json:"counter,omitempty"`
	Member  string `json:"member,omitempty"`
}

// fanOutInput is how many children there are, and what each of them runs.
type fanOutInput struct {
	Child string `json:"child"` // bareOne or bareThree
	Set   string `json:"set"`
	N     int    `json:"n"`
}

func (b *bare) register(r *workflow.Registry) error {
	return errors.Join(
		r.AddWorkflowN(bareThree, threeActivities),
		r.AddWorkflowN(bareOne, oneActivity),
		r.AddWorkflowN(bareFanOut, fanOut),
		r.AddActivityN(bareAppend, b.append))
}

func threeActivities(ctx *workflow.WorkflowContext) (any, error) {
	var name string
	if err := ctx.GetInput(&name); err != nil {
		return nil, err
	}
	for _, key := range threeOf(name, 1).keys() {
		in := appendInput{Command: addUnrecorded, Counter: string(key)}
		if err := ctx.CallActivity(bareAppend, workflow.WithActivityInput(in)).Await(nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func oneActivity(ctx *workflow.WorkflowContext) (any, error) {
	var name string
	if err := ctx.GetInput(&name); err != nil {
		return nil, err
	}
	in := appendInput{Command: addToMemberUnrecorded, Member: name}
	return nil, ctx.CallActivity(bareAppend, workflow.WithActivityInput(in)).Await(nil)
}

func fanOut(ctx *workflow.WorkflowContext) (any, error) {
	var in fanOutInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	children := make([]workflow.Task, in.N)
	for i := range children {
		children[i] = ctx.CallChildWorkflow(in.Child, workflow.WithChildWorkflowInput(memberName(in.Set, i)))
	}
	for _, c := range children {
		if err := c.Await(nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (b *bare) append(ctx workflow.ActivityContext) (any, error) {
	var in appendInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	c := actors.Command{Name: in.Command, ID: newID(), Context: stream.Context{Source: "bench"}}
	if in.Member != "" {
		c.Params = encoded(addToMember{memberID(in.Member), 1})
	} else {
		c.Params = encoded(add{Counter: counterID(in.Counter), By: 1})
	}
	_, err := b.Do(ctx.Context(), c)
	return nil, err
}

// run runs an instance to its end and says how long that took.
func (b *bare) run(ctx context.Context, name string, input any) (time.Duration, error) {
	start := time.Now()
	id, err := b.client.ScheduleWorkflow(ctx, name, workflow.WithInstanceID(newID()), workflow.WithInput(input))
	if err != nil {
		return 0, err
	}
	err = b.ended(ctx, id)
	return time.Since(start), err
}

// ended waits for the end of an instance, a bare one or one of Longrun's.
func (b *bare) ended(ctx context.Context, instance string) error {
	meta, err := b.client.WaitForWorkflowCompletion(ctx, instance)
	if err != nil {
		return err
	}
	if meta.RuntimeStatus != workflow.StatusCompleted {
		return fmt.Errorf("workflow instance %s is %v: %s", instance, meta.RuntimeStatus, meta.FailureDetails.GetErrorMessage())
	}
	return nil
}

// shared is the engine of a worker that serves the bare workflows beside
// Longrun's: a sidecar gives each piece of work to any of its workers.
type shared struct {
	workflows.Engine
	bare *bare
}

// Work serves both (workflows.Engine).
func (s shared) Work(ctx context.Context, r *workflow.Registry) (stop func(context.Context) error, err error) {
	if err := s.bare.register(r); err != nil {
		return nil, err
	}
	return s.Engine.Work(ctx, r)
}
