package estest

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// batch runs a whole batch: it finds the members among the entities of the world
// and gives each of them the item command. A run of an item is told nothing of
// the others.
func (r *Run) batch() {
	r.t.Helper()
	now := r.world.now
	call, err := r.state.Call(r.def, now)
	if err != nil {
		r.t.Fatalf("%s: %v", r.def.Name, err)
		return
	}
	group := r.def.Batch.Group(call)
	if err := r.world.catalog.Check(group); err != nil {
		r.t.Fatalf("the group of %s: %v", r.def.Name, err)
		return
	}
	fixed := flow.GroupFixed{AsOf: now, Sources: 1}
	if fixed.Group, err = json.Marshal(group); err != nil {
		r.t.Fatalf("the group of %s: %v", r.def.Name, err)
		return
	}
	r.instruct(func() ([]flow.Event, error) { return flow.FixGroup(r.def, r.state, fixed, now) })
	members := flow.Members{Round: 1, Members: r.members(group), Last: true}
	r.instruct(func() ([]flow.Event, error) { return flow.AddMembers(r.def, r.state, members, now) })
	for i, m := range members.Members {
		item := r.item(i, m, call)
		r.instruct(func() ([]flow.Event, error) {
			return flow.RecordItems(r.def, r.state, flow.ItemsRecorded{Round: 1, Items: []flow.Item{item}}, r.world.now)
		})
	}
}

// members are the entities of the world that are in the group.
func (r *Run) members(group *catalog.Group) []flow.Member {
	r.t.Helper()
	var members []flow.Member
	for _, s := range r.world.order {
		if len(s.log) == 0 || s.entity != group.EntityOf() {
			continue
		}
		var verdict catalog.Verdict
		var err error
		s.read(func(reader catalog.Reader) {
			verdict, err = group.Verdict(func(c *catalog.Classifier, params any) (catalog.Verdict, error) {
				return c.Judge(reader, params), nil
			})
		})
		if err != nil {
			r.t.Fatalf("the group of %s: %v", r.def.Name, err)
		}
		if verdict == catalog.Included {
			members = append(members, flow.Member{Key: s.key, Sequence: uint64(len(s.log))})
		}
	}
	return members
}

// item runs the item command for one member, to its end.
func (r *Run) item(i int, m flow.Member, call catalog.Call) flow.Item {
	r.t.Helper()
	params, err := r.def.Batch.Params(call, m.Key)
	if err != nil {
		r.t.Fatalf("%s: the parameters of %q: %v", r.def.Name, m.Key, err)
	}
	run := &Run{t: r.t, world: r.world, def: r.def.Batch.Item, id: fmt.Sprintf("%s/%d", r.id, i)}
	run.state = &flow.State{
		Progress: flow.Progress{ID: run.id},
		Caller:   flow.Caller{Who: r.world.who, CausationID: r.id},
	}
	_, ok, refused := r.world.decode(run.def, params)
	if !ok {
		return flow.Item{}
	}
	run.start(params, &flow.Parent{Batch: r.id, Round: 1, Index: i, Key: m.Key}, refused)
	p := &run.state.Progress
	if !p.Ended() {
		r.t.Fatalf("%s: the item of %q is %s: what waits for a signal or a time is tested by itself", r.def.Name, m.Key, p.Status)
	}
	item := flow.Item{Index: i, Key: m.Key, Status: p.Status, Sequence: run.state.Sequence, Attempts: 1}
	if f := p.Error; f != nil {
		item.Reason, item.Detail = cmp.Or(f.Reason, string(f.Code)), f.Detail
	}
	return item
}
