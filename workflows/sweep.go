package workflows

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/flow"
)

// sweepAlways sweeps now and then, until ctx ends.
func (c *Commands) sweepAlways(ctx context.Context) {
	for {
		c.keepSchedules(ctx)
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("open commands could not be swept", "error", err)
		}
		// Hosts sweep at different times, so that one finds done what another did.
		if pause(ctx, c.cfg.SweepEvery/2+rand.N(c.cfg.SweepEvery)) != nil {
			return
		}
	}
}

// Sweep looks at every open command once, and drives on those that have something
// to do and that nobody drives: the process that started them died before it
// told the engine, or the engine lost what it knew. Sweeping what is driven does
// no harm: the stream judges.
func (c *Commands) Sweep(ctx context.Context) error {
	for _, shard := range rand.Perm(actors.Shards) {
		ids, err := c.system.OpenCommands(ctx, shard)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.sweep(ctx, id); err != nil {
				c.log.Warn("an open command could not be swept", "id", id, "error", err)
			}
		}
	}
	return nil
}

func (c *Commands) sweep(ctx context.Context, id string) error {
	st, err := c.system.CommandState(ctx, id)
	if notFound(err) {
		return nil // it was registered and may be about to begin
	}
	if err != nil {
		return err
	}
	if st.Progress.Ended() {
		c.ended(ctx, st)
		return nil
	}
	idle, stuck := c.idle(st)
	if !stuck {
		return nil
	}
	// Whoever sweeps it next gives it the same name, until it has been idle for
	// twice as long: a command that stays idle gets few instances.
	instance := fmt.Sprintf("%s~%d-%d", instanceOf(id), st.Sequence, bits.Len64(uint64(idle/c.cfg.SweepIdle)))
	c.log.Info("nobody drives a command, driving it on", "id", id, "command", st.Progress.Command, "idle", idle.Round(time.Second))
	return c.schedule(ctx, st, instance)
}

// idle says for how long a command has had something to do and nothing has
// happened to it, and whether that is too long.
func (c *Commands) idle(st *flow.State) (time.Duration, bool) {
	def := c.system.Catalog().Commands[st.Progress.Command]
	if def == nil {
		return 0, false
	}
	now := c.now()
	since, patience := st.At, c.cfg.SweepIdle
	switch a := flow.Next(def, st, now); a.Do {
	case flow.DoEnd:
		return 0, false
	case flow.DoWait:
		if a.Until == nil {
			return 0, false
		}
		since = *a.Until
	case flow.DoTry, flow.DoUndo:
		if step := def.Step(a.Try.Step); step != nil && (step.Act != nil || step.Undo != nil && step.Undo.Act != nil) {
			patience += max(step.Timeout, actTimeout)
		}
		if a.Try.RetryAt != nil && a.Try.RetryAt.After(since) {
			since = *a.Try.RetryAt
		}
	case flow.DoBatch:
		if st.Batch != nil && st.Batch.Sealed { // its items may go on by themselves
			patience *= 4
		}
	case flow.DoTick:
		for _, due := range []*time.Time{st.Options.StartAt, untilOf(st)} {
			if due != nil && due.After(since) {
				since = *due
			}
		}
	}
	idle := now.Sub(since)
	return idle, idle > patience
}

func untilOf(st *flow.State) *time.Time {
	if st.Current == nil {
		return nil
	}
	return st.Current.Until
}
