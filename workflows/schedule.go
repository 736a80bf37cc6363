package workflows

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dapr/durabletask-go/workflow"
	"github.com/robfig/cron/v3"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// maxDue is how many missed runs are started at a time.
const maxDue = 100

// scheduleInput names a command with a schedule.
type scheduleInput struct {
	Command string `json:"command"`
}

// checkSchedules reports every cron expression that cannot be read.
func (c *Commands) checkSchedules() error {
	var errs []error
	for name, def := range c.system.Catalog().Commands {
		if def.Schedule == nil {
			continue
		}
		if _, err := cron.ParseStandard(def.Schedule.Cron); err != nil {
			errs = append(errs, fmt.Errorf("command %q: its schedule %q: %w", name, def.Schedule.Cron, err))
		}
	}
	return errors.Join(errs...)
}

// due starts the runs of a command's schedule whose time has come, the oldest
// first, and says when the next is. A run's id is made of its time, so however
// often it is started it runs once.
func (c *Commands) due(ctx context.Context, in scheduleInput) (driven, error) {
	def := c.system.Catalog().Commands[in.Command]
	if def == nil || def.Schedule == nil {
		return driven{Ended: true}, nil // a release without it; the sweeper of one that has it begins anew
	}
	times, err := cron.ParseStandard(def.Schedule.Cron)
	if err != nil {
		return driven{}, err
	}
	reached, err := c.system.ScheduleReached(ctx, in.Command)
	if err != nil {
		return driven{}, err
	}
	now := c.now().UTC()
	if reached.IsZero() { // it counts from now on
		reached = now
		if err := c.system.ReachSchedule(ctx, in.Command, now); err != nil {
			return driven{}, err
		}
	}
	for range maxDue {
		next := times.Next(reached.UTC())
		if next.IsZero() {
			return driven{Ended: true}, nil
		}
		if next.After(now) {
			return driven{Until: &next}, nil
		}
		if err := c.startScheduled(ctx, def, next); err != nil {
			return driven{}, err
		}
		if err := c.system.ReachSchedule(ctx, in.Command, next); err != nil {
			return driven{}, err
		}
		reached = next
	}
	return driven{Again: true}, nil
}

func (c *Commands) startScheduled(ctx context.Context, def *catalog.Command, at time.Time) error {
	var invalid *catalog.Fault
	params, err := scheduledParams(def, at)
	if err != nil { // of this run alone: the next ones have their times
		c.log.Error("a scheduled run has no parameters", "command", def.Name, "at", at, "error", err)
		params, invalid = json.RawMessage("{}"), catalog.Faultf(catalog.Invalid, "the schedule's code failed")
	}
	id := def.Name + "@" + at.Format(time.RFC3339)
	_, err = c.Start(ctx, Start{
		Command: def.Name, ID: id, Params: params, Invalid: invalid,
		Context: stream.Context{Source: "schedule", CorrelationID: id},
	})
	var f *catalog.Fault
	if errors.As(err, &f) && f.Code == catalog.Conflict {
		c.log.Error("a scheduled run was not started: its id was used for another command", "id", id)
		return nil
	}
	return err
}

// scheduledParams are the parameters of a run, in the form in which callers'
// parameters arrive.
func scheduledParams(def *catalog.Command, at time.Time) (params json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parameters of %s at %s: panic: %v", def.Name, at, p)
		}
	}()
	if params, err = def.Schedule.Params(at); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}

// scheduleV1 starts the runs of one schedule, for ever.
func scheduleV1(ctx *workflow.WorkflowContext) (any, error) {
	var in scheduleInput
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	for range maxTurns {
		var d driven
		if err := call(ctx, activityDue, in).Await(&d); err != nil {
			return nil, err
		}
		if d.Ended {
			return d, nil
		}
		if !d.Again {
			await(ctx, d.Until)
		}
	}
	ctx.ContinueAsNew(in)
	return nil, nil
}

// keepSchedules sees to it that the schedule of every command is kept by an
// instance. One that is late by itself (its timer was lost) is not waited for.
func (c *Commands) keepSchedules(ctx context.Context) {
	for name, def := range c.system.Catalog().Commands {
		if def.Schedule == nil {
			continue
		}
		instance := "~schedule~" + stream.Escape(name)
		err := c.engine.Schedule(ctx, workflowSchedule, instance, scheduleInput{name})
		if err != nil && !errors.Is(err, ErrExists) {
			c.log.Warn("a schedule is not kept", "command", name, "error", err)
			continue
		}
		if late, err := c.late(ctx, name, def); err == nil && late {
			_, err = c.due(ctx, scheduleInput{name})
			if err != nil {
				c.log.Warn("a scheduled run was not started", "command", name, "error", err)
			}
		}
	}
}

// late says whether a scheduled run should have been started a while ago.
func (c *Commands) late(ctx context.Context, name string, def *catalog.Command) (bool, error) {
	times, err := cron.ParseStandard(def.Schedule.Cron)
	if err != nil {
		return false, err
	}
	reached, err := c.system.ScheduleReached(ctx, name)
	if err != nil || reached.IsZero() {
		return false, err
	}
	next := times.Next(reached.UTC())
	return !next.IsZero() && c.now().Sub(next) > c.cfg.SweepIdle, nil
}
