package workflows

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/flow"
)

// itemInput names an item that is a command of its own.
type itemInput struct {
	chunkInput
	Index int    `json:"index"`
	Key   string `json:"key"`
	Try   int    `json:"try,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// listItems drives the items of a chunk that have no outcome, many at a time, as
// far as they go without waiting, and records those that end. The others it lists,
// for a workflow to run as children. A dry run drives none: nobody knows what
// their steps would come to.
func (c *Commands) listItems(ctx context.Context, in chunkInput) ([]itemInput, error) {
	ch, st, err := c.openChunk(ctx, in)
	if err != nil || ch == nil {
		return nil, err
	}
	if st.Options.DryRun {
		items := make([]flow.Item, len(ch.open))
		for i, m := range ch.open {
			items[i] = flow.Item{Index: m.index, Key: m.Key, Status: flow.StatusCompleted, Attempts: 0}
		}
		_, err := c.recordOutcomes(ctx, st, in, items)
		return nil, err
	}
	var waiting []itemInput
	size, gap := ch.pace(st)
	for len(ch.open) > 0 && st.Runs() {
		slice := ch.open[:min(size, len(ch.open))]
		ch.open = ch.open[len(slice):]
		ended, wait, err := c.driveSlice(ctx, ch, slice, gap)
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, wait...)
		if st, err = c.system.CommandState(ctx, in.ID); err == nil {
			st, err = c.recordOutcomes(ctx, st, in, ended)
		}
		if err != nil {
			return nil, err
		}
		if st.Progress.Ended() {
			c.system.CloseCommand(in.ID)
		}
	}
	return waiting, nil
}

// driveSlice drives items at the same time, each begun a gap after the one before,
// as far as they go without waiting.
func (c *Commands) driveSlice(ctx context.Context, ch *chunk, slice []openItem, gap time.Duration) (ended []flow.Item, waiting []itemInput, err error) {
	inputs, came, errs := make([]itemInput, len(slice)), make([]driven, len(slice)), make([]error, len(slice))
	var group sync.WaitGroup
	for i, m := range slice {
		inputs[i] = itemInput{ch.in, m.index, m.Key, m.Try, m.Fault}
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					c.log.Error("an item panicked", "batch", ch.in.ID, "key", m.Key, "panic", p, "stack", string(debug.Stack()))
				}
			}()
			came[i], _, errs[i] = c.driveItem(ctx, ch.batch, inputs[i])
		})
		if gap > 0 { // after the last, too: the next chunk's first comes then
			if err = pause(ctx, gap); err != nil {
				break
			}
		}
	}
	group.Wait()
	if err := errors.Join(err, errors.Join(errs...)); err != nil {
		return nil, nil, err
	}
	for i := range came {
		if item := came[i].Item; item != nil {
			ended = append(ended, *item)
		} else {
			waiting = append(waiting, inputs[i])
		}
	}
	return ended, waiting, nil
}

// runItem drives an item that is a command of its own. If it has not ended then, an
// instance of its own goes on with it, and tells the batch when it has.
func (c *Commands) runItem(ctx context.Context, in itemInput) (driven, error) {
	b, err := c.batch(ctx, in.ID)
	if err != nil {
		return driven{}, err
	}
	d, st, err := c.driveItem(ctx, b, in)
	if err != nil || d.Item != nil {
		return d, err
	}
	// From here on the batch does not drive it, and may end before it does.
	if err := c.system.OpenCommand(ctx, st.Progress.ID); err != nil {
		return d, err
	}
	return d, c.schedule(ctx, st, handedOver(st.Progress.ID))
}

// driveItem starts an item, if nobody has, and drives it as far as it goes without
// waiting. The outcome is there if it has ended.
func (c *Commands) driveItem(ctx context.Context, b *batchCall, in itemInput) (driven, *flow.State, error) {
	st, item, err := c.startItem(ctx, b, in)
	if err != nil || item != nil {
		return driven{Ended: item != nil, Item: item}, nil, err
	}
	d, last, err := c.driveOn(ctx, st)
	switch {
	case ctx.Err() != nil:
		return d, st, ctx.Err()
	case err != nil:
		c.log.Warn("an item could not be driven on, its own instance will", "batch", in.ID, "item", st.Progress.ID, "error", err)
	case d.Ended:
		ended := itemOf(last, in.Index)
		d.Item = &ended
	}
	return d, st, nil
}

// startItem begins the command that an item is. One that cannot be begun gets an
// outcome: the other items do not wait for it.
func (c *Commands) startItem(ctx context.Context, b *batchCall, in itemInput) (*flow.State, *flow.Item, error) {
	m := flow.Member{Key: in.Key, Try: in.Try, Fault: in.Fault}
	c.system.Claim(itemID(in.ID, m))
	item := &flow.Item{Index: in.Index, Key: in.Key, Try: in.Try, Attempts: 1}
	if in.Fault != "" {
		record(item, actors.Answer{}, notJudged(in.Fault))
		return nil, item, nil
	}
	params, err := b.params(in.Key)
	if err != nil {
		record(item, actors.Answer{}, err)
		item.Unknown = false // nothing was begun
		return nil, item, nil
	}
	for {
		st, err := c.system.Instruct(ctx, actors.Instruction{
			ID: itemID(in.ID, m), Op: actors.OpStart, Context: contextOf(b.st), CauseAt: b.st.Progress.CreatedAt,
			Data: actors.Starting{
				Command: b.def.Batch.Item.Name, Parameters: params,
				Parent: &flow.Parent{Batch: in.ID, Round: in.Round, Chunk: in.Chunk, Index: in.Index, Key: in.Key, Try: in.Try},
			},
		})
		if err == nil || ctx.Err() != nil {
			return st, nil, err
		}
		if record(item, actors.Answer{}, err) || item.Attempts == itemAttempts {
			return nil, item, nil
		}
		if err := c.pauseItem(ctx, item.Attempts); err != nil {
			return nil, nil, err
		}
		item.Attempts++
	}
}

// recordItems writes the outcomes of a chunk's items to the batch's stream.
func (c *Commands) recordItems(ctx context.Context, in chunkInput, items []flow.Item) (driven, error) {
	st, err := c.system.CommandState(ctx, in.ID)
	if err == nil {
		st, err = c.recordOutcomes(ctx, st, in, items)
	}
	if err != nil {
		return driven{}, err
	}
	if st.Progress.Ended() {
		c.system.CloseCommand(in.ID)
	}
	return driven{Status: st.Progress.Status, Sequence: st.Sequence, Ended: st.Progress.Ended()}, nil
}
