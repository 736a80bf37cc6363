package workflows

import (
	"context"
	"encoding/json"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

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
