package workflows

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

const (
	chunkTime     = 20 * time.Second // after which a chunk comes back to the engine, between two slices
	itemsInFlight = 200              // of a chunk: with more, calls through a busy sidecar take longer than they may
	itemAttempts  = 5                // of an item that cannot be reached, before it is given up
	cautious      = 10               // items that a batch runs at the same time which stops after a few failures
	rateSlice     = 5 * time.Second  // how much of a limited batch is recorded at a time
)

// chunkInput names a chunk.
type chunkInput struct {
	ID    string `json:"id"`
	Round int    `json:"round"`
	Chunk int    `json:"chunk"`
}

// chunk is a chunk as it is run: the members without an outcome.
type chunk struct {
	in    chunkInput
	batch *batchCall
	open  []openItem
	since time.Time // when its round's first chunk could begin: no append of an item is older
}

type openItem struct {
	index int
	flow.Member
}

// openChunk reads what is left to do of a chunk. It is nil if nothing of it may
// run now.
func (c *Commands) openChunk(ctx context.Context, in chunkInput) (*chunk, *flow.State, error) {
	b, err := c.batch(ctx, in.ID)
	if err != nil {
		return nil, nil, err
	}
	st, err := c.system.CommandState(ctx, in.ID)
	if err != nil {
		return nil, nil, err
	}
	if !st.Runs() || st.Batch.Round != in.Round || in.Chunk >= len(st.Batch.Chunks) || st.Batch.Chunks[in.Chunk].Open == 0 {
		return nil, st, nil
	}
	state := &st.Batch.Chunks[in.Chunk]
	members, _, err := c.members(ctx, in.ID, state.Sequence)
	if err != nil {
		return nil, nil, err
	}
	open := &chunk{in: in, batch: b, since: st.Progress.CreatedAt}
	for i, m := range members.Members {
		if !state.Has(i) {
			open.open = append(open.open, openItem{i, m})
		}
	}
	return open, st, nil
}

// pace is how many items are run at the same time, and the gap between them.
func (ch *chunk) pace(st *flow.State) (size int, gap time.Duration) {
	if rate := st.Options.RatePerSecond; rate > 0 {
		gap = max(1, time.Duration(float64(time.Second)/rate))
		return max(1, int(min(rateSlice/gap, time.Duration(len(ch.open))))), gap
	}
	if stop := st.Options.StopAfterFailures; stop > 0 { // what has begun when it stops runs to its end
		return max(1, min(len(ch.open), max(stop, cautious))), 0
	}
	return max(1, len(ch.open)), 0
}

// runItems runs the direct items of a chunk, many at a time, and records what
// became of them. It comes back with Again when time is up.
func (c *Commands) runItems(ctx context.Context, in chunkInput) (driven, error) {
	ch, st, err := c.openChunk(ctx, in)
	if err != nil || ch == nil {
		return driven{}, err
	}
	size, gap := ch.pace(st)
	until := c.now().Add(chunkTime)
	for len(ch.open) > 0 {
		slice := ch.open[:min(size, len(ch.open))]
		ch.open = ch.open[len(slice):]
		items, err := c.runSlice(ctx, ch, slice, gap)
		if err != nil {
			return driven{}, err
		}
		if st, err = c.recordOutcomes(ctx, st, in, items); err != nil {
			return driven{}, err
		}
		d := driven{Status: st.Progress.Status, Sequence: st.Sequence, Ended: st.Progress.Ended()}
		switch {
		case d.Ended:
			c.system.CloseCommand(in.ID)
			return d, nil
		case !st.Runs():
			return d, nil
		case len(ch.open) > 0 && c.now().After(until):
			d.Again = true
			return d, nil
		}
	}
	return driven{Status: st.Progress.Status, Sequence: st.Sequence}, nil
}

// runSlice runs items at the same time, each begun a gap after the one before, and
// answers when every one has an outcome. An item that cannot be reached is tried
// again, and at last settled, so that it surely does not happen later.
func (c *Commands) runSlice(ctx context.Context, ch *chunk, slice []openItem, gap time.Duration) ([]flow.Item, error) {
	type answered struct {
		i      int
		answer actors.Answer
		err    error
	}
	outcomes := make([]flow.Item, len(slice))
	open := make([]int, len(slice))
	for i := range slice {
		outcomes[i] = flow.Item{Index: slice[i].index, Key: slice[i].Key, Try: slice[i].Try}
		open[i] = i
	}
	for attempt := 1; len(open) > 0; attempt++ {
		done, begun := make(chan answered, len(open)), 0
		room := make(chan struct{}, itemsInFlight)
		for _, i := range open {
			outcomes[i].Attempts = slice[i].Try + attempt
			command, err := ch.command(slice[i].Member)
			if err != nil { // it would be the same next time
				record(&outcomes[i], actors.Answer{}, err)
				outcomes[i].Unknown = false // nothing was begun
				continue
			}
			begun++
			command.Settle = attempt > itemAttempts && !command.Dry
			room <- struct{}{}
			c.system.Start(ctx, command, func(a actors.Answer, err error) {
				<-room
				done <- answered{i, a, err}
			})
			if gap > 0 && attempt == 1 {
				if err := pause(ctx, gap); err != nil {
					return nil, err
				}
			}
		}
		var again []int
		for range begun {
			a := <-done
			if !record(&outcomes[a.i], a.answer, a.err) {
				again = append(again, a.i)
			}
		}
		if open = again; len(open) == 0 || attempt > itemAttempts {
			break
		}
		if err := c.pauseItem(ctx, attempt); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// pauseItem waits before an item is tried again that could not be reached.
func (c *Commands) pauseItem(ctx context.Context, attempt int) error {
	return pause(ctx, time.Duration(min(attempt, itemAttempts))*c.cfg.ItemPause)
}

// command is what one member gets.
func (ch *chunk) command(m flow.Member) (actors.Command, error) {
	if m.Fault != "" {
		return actors.Command{}, notJudged(m.Fault)
	}
	params, err := ch.batch.params(m.Key)
	if err != nil {
		return actors.Command{}, err
	}
	item := ch.batch.def.Batch.Item
	return actors.Command{
		Name: item.Name, ID: itemID(ch.in.ID, m), Params: params, Step: item.Direct().Step,
		Context: contextOf(ch.batch.st), CauseAt: ch.since, Dry: ch.batch.st.Options.DryRun,
	}, nil
}

// notJudged is the outcome of an item of which nobody could say whether it is a
// member.
func notJudged(why string) *catalog.Fault {
	return &catalog.Fault{Code: catalog.Rejected, Reason: "not-judged", Detail: why}
}

// record says what became of an item; it is false if that is not known yet.
func record(item *flow.Item, a actors.Answer, err error) bool {
	var f *catalog.Fault
	switch {
	case err == nil && a.Status == actors.StatusSettled: // what it was tried for before is in the outcome
		item.Status, item.Unknown = flow.StatusFailed, false
		return true
	case err == nil:
		item.Status, item.Sequence, item.Reason, item.Detail, item.Unknown = flow.StatusCompleted, a.Sequence, "", "", false
		return true
	case errors.As(err, &f) && final(f):
		item.Status, item.Reason, item.Detail, item.Unknown = flow.StatusRejected, cmp.Or(f.Reason, string(f.Code)), f.Detail, false
		return true
	}
	code := catalog.Unavailable
	if f != nil {
		code = f.Code
	}
	item.Status, item.Reason, item.Detail, item.Unknown = flow.StatusFailed, string(code), err.Error(), true
	return false
}

// maxOutcomes is how many bytes of outcomes are recorded at a time.
const maxOutcomes = 512 << 10

// recordOutcomes writes what became of items of a chunk to the batch's stream, in
// as many appends as it takes.
func (c *Commands) recordOutcomes(ctx context.Context, st *flow.State, in chunkInput, items []flow.Item) (*flow.State, error) {
	for len(items) > 0 {
		n, size := 0, 0
		for ; n < len(items); n++ {
			items[n].Detail = catalog.Brief(items[n].Detail)
			data, err := json.Marshal(items[n])
			if err != nil {
				return st, err
			}
			if size += len(data); n > 0 && size > maxOutcomes {
				break
			}
		}
		var err error
		if st, err = c.instruct(ctx, st, actors.OpItems, flow.ItemsRecorded{Round: in.Round, Chunk: in.Chunk, Items: items[:n]}); err != nil {
			return st, err
		}
		items = items[n:]
	}
	return st, nil
}
