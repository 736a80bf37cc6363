package workflows

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

const (
	chunkTime    = 20 * time.Second // after which a chunk comes back to the engine, between two slices
	itemAttempts = 5                // of an item that cannot be reached, before it is given up
	rateSlice    = 5 * time.Second  // how much of a limited batch is recorded at a time
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

// runItems runs the direct items of a chunk, many at a time, and records what
// became of them. It comes back with Again when time is up.
func (c *Commands) runItems(ctx context.Context, in chunkInput) (driven, error) {
	ch, st, err := c.openChunk(ctx, in)
	if err != nil || ch == nil {
		return driven{}, err
	}
	size, gap := len(ch.open), time.Duration(0)
	if rate := st.Options.RatePerSecond; rate > 0 {
		gap = max(1, time.Duration(float64(time.Second)/rate))
		size = max(1, int(min(rateSlice/gap, time.Duration(size))))
	}
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
		done := make(chan answered, len(open))
		for _, i := range open {
			outcomes[i].Attempts = attempt
			command, err := ch.command(slice[i].Member)
			if err != nil {
				done <- answered{i: i, err: err}
				continue
			}
			command.Settle = attempt > itemAttempts && !command.Dry
			c.system.Start(ctx, command, func(a actors.Answer, err error) { done <- answered{i, a, err} })
			if gap > 0 && attempt == 1 {
				if err := pause(ctx, gap); err != nil {
					return nil, err
				}
			}
		}
		var again []int
		for range len(open) {
			a := <-done
			if !record(&outcomes[a.i], a.answer, a.err) {
				again = append(again, a.i)
			}
		}
		if open = again; len(open) == 0 || attempt > itemAttempts {
			break
		}
		if err := pause(ctx, min(time.Duration(attempt)*time.Second, 5*time.Second)); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// command is what one member gets.
func (ch *chunk) command(m flow.Member) (actors.Command, error) {
	if m.Fault != "" {
		return actors.Command{}, &catalog.Fault{Code: catalog.Rejected, Reason: "not-judged", Detail: m.Fault}
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
	item.Status, item.Reason, item.Detail, item.Unknown = flow.StatusFailed, string(catalog.Unavailable), err.Error(), true
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

// itemInput names an item that is a command of its own.
type itemInput struct {
	chunkInput
	Index int    `json:"index"`
	Key   string `json:"key"`
	Try   int    `json:"try,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// listItems are the items of a chunk that have no outcome, for a workflow to run
// as children. A dry run has none: nobody knows what their steps would come to.
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
	items := make([]itemInput, len(ch.open))
	for i, m := range ch.open {
		items[i] = itemInput{in, m.index, m.Key, m.Try, m.Fault}
	}
	return items, nil
}

// runItem starts an item that is a command of its own, and drives it as far as it
// goes without waiting. If it has not ended then, an instance of its own goes on
// with it, and tells the batch when it has.
func (c *Commands) runItem(ctx context.Context, in itemInput) (driven, error) {
	b, err := c.batch(ctx, in.ID)
	if err != nil {
		return driven{}, err
	}
	m := flow.Member{Key: in.Key, Try: in.Try, Fault: in.Fault}
	st, err := c.startItem(ctx, b, in, m)
	if ctx.Err() != nil {
		return driven{}, ctx.Err()
	}
	if err != nil {
		item := flow.Item{Index: in.Index, Key: in.Key, Try: in.Try, Attempts: 1}
		record(&item, actors.Answer{}, err)
		return driven{Ended: true, Item: &item}, nil
	}
	d, on, err := c.driveOn(ctx, st)
	if err != nil && ctx.Err() != nil {
		return d, err
	}
	if err == nil && d.Ended {
		item := itemOf(on, in.Index) // an earlier round may have begun it, at another place
		d.Item = &item
		return d, nil
	}
	if err != nil { // the others of its chunk do not wait for it
		c.log.Warn("an item could not be driven on: an instance of its own will", "batch", in.ID, "item", st.Progress.ID, "error", err)
	}
	// From here on the batch does not drive it, and may end before it does.
	if err := c.system.OpenCommand(ctx, st.Progress.ID); err != nil {
		return d, err
	}
	return d, c.schedule(ctx, st, handedOver(st.Progress.ID))
}

// startItem begins an item, or finds that it has begun. What cannot be reached is
// tried again a few times, and no longer: the other items of the chunk wait.
func (c *Commands) startItem(ctx context.Context, b *batchCall, in itemInput, m flow.Member) (*flow.State, error) {
	if in.Fault != "" {
		return nil, &catalog.Fault{Code: catalog.Rejected, Reason: "not-judged", Detail: in.Fault}
	}
	params, err := b.params(in.Key)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		st, err := c.system.Instruct(ctx, actors.Instruction{
			ID: itemID(in.ID, m), Op: actors.OpStart, Context: contextOf(b.st), CauseAt: b.st.Progress.CreatedAt,
			Data: actors.Starting{
				Command: b.def.Batch.Item.Name, Parameters: params,
				Parent: &flow.Parent{Batch: in.ID, Round: in.Round, Chunk: in.Chunk, Index: in.Index, Key: in.Key, Try: in.Try},
			},
		})
		var f *catalog.Fault
		if err == nil || attempt == itemAttempts || errors.As(err, &f) && f.Code != catalog.Unavailable {
			return st, err
		}
		if err := pause(ctx, time.Duration(attempt)*time.Second); err != nil {
			return nil, err
		}
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

// Failures lists the failed items of a batch's last round, in the order in which
// they were recorded.
func (c *Commands) Failures(ctx context.Context, command, id, cursor string, limit int) (items []flow.Item, next string, err error) {
	if err := c.is(ctx, command, id); err != nil {
		return nil, "", err
	}
	st, err := c.system.CommandState(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if st.Batch == nil {
		return nil, "", nil
	}
	from, skip, err := parseFailuresCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	from = max(from, st.Batch.Since+1)
	full := errors.New("the page is full")
	err = c.recordedItems(ctx, id, from, 0, func(e flow.ItemsRecorded, sequence uint64) error {
		if e.Round != st.Batch.Round {
			return nil
		}
		for i := range e.Items {
			if e.Items[i].Succeeded() || sequence == from && i < skip {
				continue
			}
			if len(items) == limit {
				next = failuresCursor(sequence, i)
				return full
			}
			items = append(items, e.Items[i])
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return nil, "", err
	}
	return items, next, nil
}

// A cursor of failures is the event and the item in it to go on with.
func failuresCursor(sequence uint64, item int) string { return fmt.Sprintf("%d.%d", sequence, item) }

func parseFailuresCursor(cursor string) (sequence uint64, item int, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	if n, err := fmt.Sscanf(cursor, "%d.%d", &sequence, &item); err != nil || n != 2 || item < 0 || failuresCursor(sequence, item) != cursor {
		return 0, 0, &catalog.Fault{
			Code: catalog.Invalid, Detail: "cursor is not one of an earlier answer",
			Fields: []catalog.Field{{Field: "cursor", Message: "is not one of an earlier answer"}},
		}
	}
	return sequence, item, nil
}
