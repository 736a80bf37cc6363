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

// resolve finds the members of a batch and writes them to its stream, chunk by
// chunk, until that is done or time is up. Each chunk says up to where its source
// is covered; who comes after goes on there.
func (c *Commands) resolve(ctx context.Context, def *catalog.Command, st *flow.State) error {
	if st.Batch == nil {
		call, err := st.Call(def, c.now().UTC())
		if err != nil {
			return err
		}
		group, err := groupOf(def, call)
		if err != nil {
			return err
		}
		recorded, err := json.Marshal(group)
		if err != nil {
			return err
		}
		// The moment is the stream's, of a commit that is there: what is committed
		// from now on is later. A batch that was to start later starts at its time.
		asOf := st.At
		if start := st.Options.StartAt; start != nil && start.After(asOf) {
			asOf = *start
		}
		if st, err = c.instruct(ctx, st, actors.OpFixGroup, flow.GroupFixed{Group: recorded, AsOf: asOf, Sources: actors.Shards}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	var err error
	if st.Batch.Round > 1 {
		err = c.resolveAgain(ctx, st)
	} else {
		err = c.resolveGroup(ctx, def, st)
	}
	if ctx.Err() != nil {
		return nil // time is up: it goes on with the next plan
	}
	return err
}

func groupOf(def *catalog.Command, call catalog.Call) (g *catalog.Group, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = catalog.Faultf(catalog.Internal, "the group of %s: panic: %v", def.Name, p)
		}
	}()
	return def.Batch.Group(call), nil
}

func (c *Commands) resolveGroup(ctx context.Context, def *catalog.Command, st *flow.State) error {
	group, err := c.system.Catalog().Group(st.Batch.Group)
	if err != nil {
		return err
	}
	from := map[int]uint64{}
	pages := map[int]*pager{}
	for shard := range actors.Shards {
		covered := st.Batch.Covered[shard]
		from[shard] = covered + 1
		pages[shard] = &pager{c: c, st: st, size: c.chunkSize(def), page: flow.Members{Round: 1, Shard: shard, From: covered, To: covered}}
	}
	err = c.system.Members(ctx, group, st.Batch.AsOf, from, func(found actors.MemberPage) error {
		p := pages[found.Shard]
		if st.Batch.Done[found.Shard] {
			return nil
		}
		members, failed := found.Members, found.Failed
		for len(members) > 0 || len(failed) > 0 {
			var m flow.Member
			var place uint64
			if len(failed) == 0 || len(members) > 0 && members[0].Place < failed[0].Place {
				m, place = flow.Member{Key: members[0].Key, Sequence: members[0].Sequence}, members[0].Place
				members = members[1:]
			} else {
				m, place = flow.Member{Key: failed[0].Key, Fault: failed[0].Fault.Error()}, failed[0].Place
				failed = failed[1:]
			}
			if err := p.add(ctx, m, place); err != nil {
				return err
			}
		}
		p.page.To = max(p.page.To, found.To)
		return nil
	})
	if err != nil {
		return err
	}
	for shard := range actors.Shards {
		if st.Batch.Done[shard] {
			continue
		}
		if err := pages[shard].end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// chunkSize is how many items are run together.
func (c *Commands) chunkSize(def *catalog.Command) int {
	if def.Batch.Item.Direct() != nil {
		return c.cfg.Chunk
	}
	return max(1, c.cfg.Chunk/10)
}

// pager gathers the members of one source into chunks.
type pager struct {
	c     *Commands
	st    *flow.State
	size  int
	bytes int
	page  flow.Members
}

// add takes a member at a place of the source.
func (p *pager) add(ctx context.Context, m flow.Member, place uint64) error {
	return p.addAll(ctx, []flow.Member{m}, place)
}

func (p *pager) end(ctx context.Context) error {
	p.page.Last = true
	return p.write(ctx)
}

func (p *pager) write(ctx context.Context) error {
	if _, err := p.c.instruct(ctx, p.st, actors.OpMembers, p.page); err != nil {
		return err
	}
	p.page = flow.Members{Round: p.page.Round, Shard: p.page.Shard, From: p.page.To, To: p.page.To}
	p.bytes = 0
	return nil
}

// resolveAgain finds the members of a round that repeats what failed in the one
// before, and what it did not run: in the batch's own stream.
func (c *Commands) resolveAgain(ctx context.Context, st *flow.State) error {
	def := c.system.Catalog().Commands[st.Progress.Command]
	b := st.Batch
	full, err := c.system.CommandState(ctx, st.Progress.ID) // with what an answer leaves out
	if err != nil {
		return err
	}
	if full.Batch.Round != b.Round || full.Batch.Sealed {
		return nil
	}
	b = full.Batch
	newPager := func(source int) *pager {
		covered := b.Covered[source]
		return &pager{c: c, st: full, size: c.chunkSize(def), page: flow.Members{Round: b.Round, Shard: source, From: covered, To: covered}}
	}
	if !b.Done[flow.SourceFailed] {
		p := newPager(flow.SourceFailed)
		err := c.recordedItems(ctx, st.Progress.ID, b.Covered[flow.SourceFailed]+1, b.Since, func(e flow.ItemsRecorded, sequence uint64) error {
			if e.Round != b.Round-1 {
				return nil
			}
			var again []flow.Member
			for i := range e.Items {
				if item := &e.Items[i]; !item.Succeeded() {
					again = append(again, item.Again())
				}
			}
			return p.addAll(ctx, again, sequence)
		})
		if err != nil {
			return err
		}
		p.page.To = max(p.page.To, b.Since)
		if err := p.end(ctx); err != nil {
			return err
		}
	}
	if b.Done[flow.SourceLeft] {
		return nil
	}
	p := newPager(flow.SourceLeft)
	for n := int(b.Covered[flow.SourceLeft]); n < len(b.Left); n++ {
		chunk := &b.Left[n]
		members, _, err := c.members(ctx, st.Progress.ID, chunk.Sequence)
		if err != nil {
			return err
		}
		var left []flow.Member
		for i, m := range members.Members {
			if !chunk.Has(i) {
				left = append(left, m)
			}
		}
		if err := p.addAll(ctx, left, uint64(n+1)); err != nil {
			return err
		}
	}
	return p.end(ctx)
}

// addAll takes the members at one place, which is covered whole or not at all:
// chunks end only between places.
func (p *pager) addAll(ctx context.Context, members []flow.Member, place uint64) error {
	size := 0
	for i := range members {
		members[i].Fault = catalog.Brief(members[i].Fault)
		data, err := json.Marshal(members[i]) // as it is stored: text can grow sixfold
		if err != nil {
			return err
		}
		size += len(data) + 1
	}
	if len(p.page.Members) > 0 && (len(p.page.Members)+len(members) > p.size || p.bytes+size > maxPageSize) {
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	p.page.Members = append(p.page.Members, members...)
	p.page.To = place
	p.bytes += size
	return nil
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
