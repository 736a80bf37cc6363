package workflows

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	resolveTime = 20 * time.Second // after which resolving comes back to the engine, between two pages
	planChunks  = 64               // chunks that are handed out at a time
	maxPageSize = 256 << 10        // bytes of members in one chunk, unless one place has more
)

// plan is what a batch's workflow does next.
type plan struct {
	driven
	Direct bool  `json:"direct,omitempty"` // its items are decided in their entities' turns
	Round  int   `json:"round,omitempty"`
	Chunks []int `json:"chunks,omitempty"` // to run
	Window int   `json:"window,omitempty"` // so many at a time
	Finish bool  `json:"finish,omitempty"` // nothing new begins: once all are back, it is over
}

// planInput asks for the chunks after one of a round.
type planInput struct {
	ID    string `json:"id"`
	Round int    `json:"round,omitempty"`
	After int    `json:"after"` // the number of chunks that were handed out in this pass
	Pass  int    `json:"pass,omitempty"`
}

// plan resolves the group, if that is not done, and says which chunks to run.
func (c *Commands) plan(ctx context.Context, in planInput) (plan, error) {
	st, err := c.system.CommandState(ctx, in.ID)
	if err != nil {
		return plan{}, err
	}
	def := c.system.Catalog().Commands[st.Progress.Command]
	if def == nil || def.Batch == nil {
		return plan{}, catalog.Faultf(catalog.Unavailable, "batch %s is not known here", st.Progress.Command)
	}
	p := plan{driven: driven{Status: st.Progress.Status, Sequence: st.Sequence}, Direct: def.Batch.Item.Direct() != nil, Window: c.cfg.Window}
	switch a := flow.Next(def, st, c.now()); {
	case a.Do == flow.DoEnd:
		c.system.CloseCommand(in.ID)
		p.Ended = true
		return p, nil
	case a.Do == flow.DoWait:
		p.Until = a.Until
		return p, nil
	case st.Cancelling:
		p.Finish = true
		return p, nil
	case st.Batch == nil || !st.Batch.Sealed:
		p.Again = true
		if st.Batch != nil && st.Batch.Round > 1 { // who saw the last round end may have closed it since
			if err := c.system.OpenCommand(ctx, in.ID); err != nil {
				return p, err
			}
		}
		return p, c.resolve(ctx, def, st)
	}
	b := st.Batch
	p.Round, p.Finish = b.Round, b.Stopped
	if st.Options.RatePerSecond > 0 || st.Options.StopAfterFailures > 0 {
		p.Window = 1
	}
	if p.Finish {
		return p, nil
	}
	from := in.After
	if in.Round != b.Round {
		from = 0
	}
	for n := from; n < len(b.Chunks) && len(p.Chunks) < planChunks; n++ {
		if b.Chunks[n].Open > 0 {
			p.Chunks = append(p.Chunks, n)
		}
	}
	return p, nil
}

// recordedItems goes through the outcomes that a batch's stream holds, from a
// sequence on and up to another (0: to the end).
func (c *Commands) recordedItems(ctx context.Context, id string, from, to uint64, use func(e flow.ItemsRecorded, sequence uint64) error) error {
	for from != 0 {
		events, next, err := c.system.Events(ctx, commandStream(id), from, 0)
		if err != nil {
			return err
		}
		for _, e := range events {
			if to != 0 && e.Sequence > to {
				return nil
			}
			if e.Event.Name != flow.EventItemsRecorded {
				continue
			}
			var recorded flow.ItemsRecorded
			if err := json.Unmarshal(e.Event.Data, &recorded); err != nil {
				return fmt.Errorf("batch %q, event %d: %w", id, e.Sequence, err)
			}
			if err := use(recorded, e.Sequence); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}

// members reads the chunk that an event of a batch's stream holds, and when it
// was written.
func (c *Commands) members(ctx context.Context, id string, sequence uint64) (m flow.Members, at time.Time, err error) {
	events, _, err := c.system.Events(ctx, commandStream(id), sequence, 1)
	if err != nil {
		return m, at, err
	}
	if len(events) != 1 || events[0].Event.Name != flow.EventMembers {
		return m, at, catalog.Faultf(catalog.Internal, "event %d of batch %q is no chunk", sequence, id)
	}
	err = json.Unmarshal(events[0].Event.Data, &m)
	return m, events[0].At, err
}

// instruct has the batch's stream decide.
func (c *Commands) instruct(ctx context.Context, st *flow.State, op string, data any) (*flow.State, error) {
	return c.system.Instruct(ctx, actors.Instruction{ID: st.Progress.ID, Op: op, Data: data, Context: contextOf(st), CauseAt: st.At})
}

// finish ends a batch of which nothing runs any more.
func (c *Commands) finish(ctx context.Context, id string) (driven, error) {
	st, err := c.system.CommandState(ctx, id)
	if err == nil {
		st, err = c.instruct(ctx, st, actors.OpFinish, nil)
	}
	if err != nil {
		return driven{}, err
	}
	if st.Progress.Ended() {
		c.system.CloseCommand(id)
	}
	return driven{Status: st.Progress.Status, Sequence: st.Sequence, Ended: st.Progress.Ended()}, nil
}

// itemID is the id of an item: of its append if it is direct, else of its
// command. A repeated item gets a new one only if it was surely refused. No two
// items of any batches have the same: what follows the last slash is the member.
func itemID(batch string, m flow.Member) string {
	id := batch + "/" + memberEscapes.Replace(m.Key)
	if m.Try > 0 {
		id = fmt.Sprintf("%s~%d", id, m.Try+1)
	}
	if stream.CheckKey(id) == nil {
		return id
	}
	return instanceOf(id) // its hash
}

var memberEscapes = strings.NewReplacer("%", "%25", "/", "%2F", "~", "%7E")

// batchCall is what the item's parameters are made of. It never changes, so it is
// read once.
type batchCall struct {
	def  *catalog.Command
	call catalog.Call
	st   *flow.State // as of its first chunk: who asked, and how
}

// batchCache holds the batches that run here.
type batchCache struct {
	mu    sync.Mutex
	calls map[string]*batchCall
}

const maxBatchCalls = 256

func (c *Commands) batch(ctx context.Context, id string) (*batchCall, error) {
	c.batches.mu.Lock()
	known := c.batches.calls[id]
	c.batches.mu.Unlock()
	if known != nil {
		return known, nil
	}
	st, err := c.system.CommandState(ctx, id)
	if err != nil {
		return nil, err
	}
	b := &batchCall{def: c.system.Catalog().Commands[st.Progress.Command], st: st}
	if b.def == nil || b.def.Batch == nil {
		return nil, catalog.Faultf(catalog.Unavailable, "batch %s is not known here", st.Progress.Command)
	}
	if b.call, err = st.Call(b.def, st.Progress.CreatedAt); err != nil {
		return nil, err
	}
	st.Batch = nil
	c.batches.mu.Lock()
	defer c.batches.mu.Unlock()
	if len(c.batches.calls) >= maxBatchCalls {
		clear(c.batches.calls)
	}
	if c.batches.calls == nil {
		c.batches.calls = map[string]*batchCall{}
	}
	c.batches.calls[id] = b
	return b, nil
}

// params are those of one item.
func (b *batchCall) params(key string) (params json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = catalog.Faultf(catalog.Internal, "the parameters of an item: panic: %v", p)
		}
	}()
	return b.def.Batch.Params(b.call, key)
}
