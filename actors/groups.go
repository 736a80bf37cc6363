package actors

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Shards is how many shards the index of every entity type has: 0 to Shards-1.
// Each is resolved for itself, in the order in which its keys were registered.
const Shards = shards

const (
	groupPage   = 512 // keys of a page
	groupChunk  = 128 // keys that are read from the store together
	groupShards = 4   // shards that one resolution reads at a time
)

// Member is an entity in a group.
type Member struct {
	Key      string
	Sequence uint64 // of the state it was judged by
	Place    uint64 // of its key in the shard
}

// Failed is an entity that could not be judged: its stream is corrupt, the
// domain's code failed, or it holds an event that this release does not know.
type Failed struct {
	Key   string
	Place uint64
	Fault *catalog.Fault
}

// MemberPage is what one stretch of a shard came to.
type MemberPage struct {
	Shard    int
	From, To uint64   // the places of the keys that were looked at; go on from To+1
	Members  []Member // by place, as Failed
	Failed   []Failed
}

// Members finds who is in a group: as of a moment, or by the newest there is if
// asOf is zero. It reads the shards of the type's index, several at the same
// time, each from its place in from on (absent: from the start), and gives use
// page after page: those of one shard in order, those of different shards at the
// same time. A page of a shard begins at the same place whenever it is asked for,
// so that From names it; only the last one can be shorter than it is later. An
// error of use ends it and is returned as it is.
//
// Index and entities are read strongly, from the store. Entities that did not
// exist as of the moment are in no group. A key registered while it goes on may
// be seen or not.
func (s *System) Members(ctx context.Context, g *catalog.Group, asOf time.Time, from map[int]uint64, use func(MemberPage) error) error {
	if err := s.checkGroup(g, asOf); err != nil {
		return err
	}
	from = maps.Clone(from) // use may write down in it how far it is
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(groupShards)
	for shard := range shards {
		group.Go(func() error { return s.shardMembers(ctx, g, asOf, shard, from[shard], use) })
	}
	return group.Wait()
}

// ShardMembers is Members for one shard.
func (s *System) ShardMembers(ctx context.Context, g *catalog.Group, asOf time.Time, shard int, from uint64, use func(MemberPage) error) error {
	if err := s.checkGroup(g, asOf); err != nil {
		return err
	}
	if shard < 0 || shard >= shards {
		return catalog.Faultf(catalog.Internal, "no shard %d", shard)
	}
	return s.shardMembers(ctx, g, asOf, shard, from, use)
}

func (s *System) checkGroup(g *catalog.Group, asOf time.Time) error {
	if err := s.catalog.Check(g); err != nil {
		return faultOf(err)
	}
	if asOf.After(s.now()) {
		return futureAsOf()
	}
	return nil
}

func (s *System) shardMembers(ctx context.Context, g *catalog.Group, asOf time.Time, shard int, from uint64, use func(MemberPage) error) error {
	var keys []registration
	flush := func() error {
		page, err := s.judgePage(ctx, g, asOf, shard, keys)
		if err != nil {
			return faultOf(err)
		}
		keys = keys[:0]
		return use(page)
	}
	for r, err := range s.registrations(ctx, g.EntityOf().Type, shard, from) {
		if err != nil {
			return faultOf(err)
		}
		keys = append(keys, r)
		if r.place%groupPage == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return flush()
}

// registration is a key in the index.
type registration struct {
	key   string
	place uint64
}

// registrations goes through a shard of the index. When a key was registered
// says nothing of when its entity began: a commit is stamped when its turn begins,
// which is before it registers the key, and by another clock. So none is left out
// for its time; the entity's own stream tells.
func (s *System) registrations(ctx context.Context, entityType string, shard int, from uint64) iter.Seq2[registration, error] {
	return func(yield func(registration, error) bool) {
		id, number := indexShard(entityType, shard), uint64(1)
		if from > 1 {
			found, ok, err := s.reader.FindSequence(ctx, id, from)
			if err != nil {
				yield(registration{}, err)
			}
			if !ok {
				return
			}
			number = found
		}
		for raw, err := range s.reader.Commits(ctx, id, number, 0) {
			if err != nil {
				yield(registration{}, err)
				return
			}
			place := raw.First
			for _, a := range raw.Appends {
				for _, e := range a.Events {
					r, err := registrationOf(id, &e, place)
					if place >= from && !yield(r, err) {
						return
					}
					place++
				}
			}
		}
	}
}

func registrationOf(shard stream.ID, e *stream.Event, place uint64) (registration, error) {
	if e.Name != registeredEvent || e.Version != 1 {
		return registration{}, catalog.Faultf(catalog.Unavailable, "%s: a newer release wrote event %s version %d", shard, e.Name, e.Version)
	}
	var r registered
	err := json.Unmarshal(e.Data, &r)
	return registration{r.Key, place}, err
}

// judgePage judges the entities of some keys of a shard, a chunk at a time, as
// many chunks at the same time as the system reads at all.
func (s *System) judgePage(ctx context.Context, g *catalog.Group, asOf time.Time, shard int, keys []registration) (MemberPage, error) {
	page := MemberPage{Shard: shard, From: keys[0].place, To: keys[len(keys)-1].place}
	out := make([]judged, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	for from := 0; from < len(keys); from += groupChunk {
		to := min(from+groupChunk, len(keys))
		group.Go(func() error {
			if err := s.groups.reads.Acquire(ctx, 1); err != nil {
				return err
			}
			defer s.groups.reads.Release(1)
			return s.judgeChunk(ctx, g, asOf, keys[from:to], out[from:to])
		})
	}
	if err := group.Wait(); err != nil {
		return MemberPage{}, err
	}
	for i, j := range out {
		switch {
		case j.fault != nil:
			page.Failed = append(page.Failed, Failed{keys[i].key, keys[i].place, j.fault})
		case j.verdict == catalog.Included:
			page.Members = append(page.Members, Member{keys[i].key, j.sequence, keys[i].place})
		}
	}
	return page, nil
}
