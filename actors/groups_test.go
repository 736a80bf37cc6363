package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// watch is a clock that a test moves; it never stands still.
type watch struct{ at atomic.Int64 } // microseconds

func newWatch() *watch {
	w := &watch{}
	w.at.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return w
}

func (w *watch) now() time.Time { return time.UnixMicro(w.at.Add(1)).UTC() }

// system is one of tills over a store, by this clock.
func (w *watch) system(t require.TestingT, store stream.Store, cfg actors.Config) *actors.System {
	cfg.Now = w.now
	s, err := actors.New([]*catalog.Domain{domain()}, store, nil, cfg)
	require.NoError(t, err)
	return s
}

// found is who is in a group, by key, with the sequences, and who could not be
// judged.
type found struct {
	members map[string]uint64
	failed  map[string]catalog.Code
}

func membersOf(t require.TestingT, s *actors.System, g es.Group[tillID], asOf time.Time) found {
	var mu sync.Mutex
	f := found{map[string]uint64{}, map[string]catalog.Code{}}
	require.NoError(t, s.Members(context.Background(), g.Catalog(), asOf, nil, func(p actors.MemberPage) error {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range p.Members {
			f.members[m.Key] = m.Sequence
		}
		for _, m := range p.Failed {
			f.failed[m.Key] = m.Fault.Code
		}
		return nil
	}))
	return f
}

// asked is the same by asking about one entity after the other.
func asked(t require.TestingT, s *actors.System, g es.Group[tillID], asOf time.Time, keys []string) found {
	f := found{map[string]uint64{}, map[string]catalog.Code{}}
	at := actors.At{Strong: true}
	if !asOf.IsZero() {
		at = actors.At{Time: &asOf}
	}
	for _, key := range keys {
		id := stream.ID{Type: "shop.till", Key: key}
		state, err := s.Project(context.Background(), id, "content", at)
		require.NoError(t, err)
		if state.Sequence == 0 {
			continue
		}
		verdict, err := g.Catalog().Verdict(func(c *catalog.Classifier, params any) (catalog.Verdict, error) {
			raw, err := json.Marshal(params)
			require.NoError(t, err)
			j, err := s.Classify(context.Background(), id, c.Name, raw, at)
			return j.Verdict, err
		})
		switch {
		case err != nil:
			f.failed[key] = codeOf(err)
		case verdict == catalog.Included:
			f.members[key] = state.Sequence
		}
	}
	return f
}

// groupOf draws a group of tills; had fails for those that were empty then.
func groupOf(moments []time.Time) *rapid.Generator[es.Group[tillID]] {
	leaf := rapid.Custom(func(t *rapid.T) es.Group[tillID] {
		switch rapid.IntRange(0, 4).Draw(t, "leaf") {
		case 0:
			return till.All()
		case 1:
			return had.With(asOf{At: rapid.SampledFrom(moments).Draw(t, "had at")})
		case 2:
			return unsure.With(above{rapid.IntRange(0, 30).Draw(t, "unsure")})
		default:
			return fullish.With(above{rapid.IntRange(0, 30).Draw(t, "above")})
		}
	})
	return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) es.Group[tillID] {
		parts := rapid.SliceOfN(leaf, 1, 3).Draw(t, "parts")
		switch rapid.IntRange(0, 2).Draw(t, "of") {
		case 0:
			return es.And(parts[0], parts[1:]...)
		case 1:
			return es.Or(parts[0], parts[1:]...)
		default:
			return es.Not(es.Or(parts[0], es.Not(es.And(parts[0], parts[1:]...))))
		}
	}))
}

// Whoever is in a group, now or then, is who is found by asking about every
// entity alone: with heads and without, and however much of them the process
// knows from earlier groups.
func TestMembersAreThoseWhomTheClassifiersInclude(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock, store := newWatch(), stream.NewMemory()
		moments := []time.Time{clock.now()}
		n := 0
		work := func(s *actors.System) {
			for range rapid.IntRange(0, 4).Draw(rt, "bursts") {
				key := rapid.SampledFrom([]string{"a", "b", "c/ü", "d", "e"}).Draw(rt, "key")
				for range rapid.SampledFrom([]int{1, 2, 3, 5, 11, 12, 13, 20, 70}).Draw(rt, "commits") {
					n++
					_, err := s.Do(context.Background(), cmd("quick", fmt.Sprint("q", n), key, rapid.IntRange(-3, 4).Draw(rt, "by")))
					require.NoError(rt, err)
					if n%7 == 0 {
						moments = append(moments, clock.now())
					}
				}
			}
		}
		first := clock.system(rt, store, actors.Config{})
		work(first)
		first.Close() // with heads
		owner := clock.system(rt, store, actors.Config{})
		defer owner.Close()
		other := clock.system(rt, store, actors.Config{GroupCache: 3, GroupReads: 1})
		defer other.Close()
		for range rapid.IntRange(1, 6).Draw(rt, "questions") {
			work(owner)
			keys, _, err := owner.Keys(context.Background(), "shop.till", "", 100)
			require.NoError(rt, err)
			asOf := rapid.SampledFrom(append(moments, time.Time{})).Draw(rt, "asOf")
			g := groupOf(moments).Draw(rt, "group")
			want := asked(rt, owner, g, asOf, keys)
			require.Equal(rt, want, membersOf(rt, owner, g, asOf))
			require.Equal(rt, want, membersOf(rt, other, g, asOf))
			if len(want.failed) == 0 {
				listed := listMembers(rt, other, g, asOf, rapid.IntRange(1, 4).Draw(rt, "limit"))
				require.ElementsMatch(rt, slices.Collect(maps.Keys(want.members)), listed)
			}
		}
	})
}

func listMembers(t require.TestingT, s *actors.System, g es.Group[tillID], asOf time.Time, limit int) (all []string) {
	at := &asOf
	if asOf.IsZero() {
		at = nil
	}
	for cursor := ""; ; {
		keys, next, err := s.MemberKeys(context.Background(), g.Catalog(), at, cursor, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(keys), limit)
		all = append(all, keys...)
		if cursor = next; cursor == "" {
			return all
		}
	}
}

// tills puts i into till i, n of them.
func tills(t *testing.T, s *actors.System, n int) {
	t.Helper()
	var wait sync.WaitGroup
	for w := range 16 {
		wait.Go(func() {
			for i := w; i < n; i += 16 {
				if _, err := s.Do(context.Background(), cmd("quick", fmt.Sprint("q", i), fmt.Sprint("till ", i), i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// A resolution that breaks off goes on from what was recorded of it: every
// member once, from pages that begin where they began before.
func TestMembersGoOnFromTheirPlaces(t *testing.T) {
	const n = 9000 // a page and more of every shard
	s := newSystem(t, stream.NewMemory())
	tills(t, s, n)
	g := fullish.With(above{n/2 - 1}).Catalog()
	crash := errors.New("crash")
	var mu sync.Mutex
	members := map[string]bool{}
	from := map[int]uint64{}
	pages := map[[2]uint64]int{}
	crashes := 0
	for {
		seen := 0
		err := s.Members(t.Context(), g, time.Time{}, from, func(p actors.MemberPage) error {
			mu.Lock()
			defer mu.Unlock()
			pages[[2]uint64{uint64(p.Shard), p.From}]++
			if seen++; seen > 5 {
				return crash
			}
			require.Equal(t, max(from[p.Shard], 1), p.From)
			from[p.Shard] = p.To + 1
			for _, m := range p.Members {
				require.False(t, members[m.Key], m.Key)
				require.True(t, p.From <= m.Place && m.Place <= p.To)
				members[m.Key] = true
			}
			return nil
		})
		if err == nil {
			break
		}
		require.ErrorIs(t, err, crash)
		crashes++
	}
	require.Len(t, members, n/2)
	require.Greater(t, crashes, 3)
	require.Len(t, pages, 2*actors.Shards)
}

// What a process knows of entities spares it to read them again, but for what is
// new; and it is never believed without a look.
func TestAKnownGroupCostsALookAtWhatIsNew(t *testing.T) {
	const n = 500
	begun := time.Now()
	store := stream.NewMemory()
	s := newSystem(t, store)
	tills(t, s, n)
	g := fullish.With(above{n/2 - 1})
	keysRead := func(f func()) int { return keysReadBy(store, f) }
	all := func(members int) func() {
		return func() { require.Len(t, membersOf(t, s, g, time.Time{}).members, members) }
	}
	cold := keysRead(all(n / 2))
	warm := keysRead(all(n / 2))
	require.Less(t, warm, cold*2/3, "cold %d keys, warm %d", cold, warm)
	other := newSystem(t, store)
	do(t, other, cmd("quick", "more", "till 0", n))
	again := keysRead(all(n/2 + 1))
	require.Less(t, again-warm, 20)

	membersOf(t, s, g, begun)
	require.Less(t, keysRead(all(n/2+1))-warm, 20, "a question about the past leaves what is known")
	counted := unsure.With(above{0})
	membersOf(t, s, counted, time.Time{})
	require.Less(t, keysRead(func() { membersOf(t, s, counted, time.Time{}) })-warm, 20)
	require.Less(t, keysRead(all(n/2+1))-warm, 20, "groups by other projections too")
}

// As of a moment that is over nothing can become new.
func TestAKnownGroupOfThePastCostsNothing(t *testing.T) {
	store, clock := stream.NewMemory(), newWatch()
	s := clock.system(t, store, actors.Config{})
	defer s.Close()
	begin := clock.now()
	tills(t, s, 100)
	middle := clock.now()
	for i := range 100 {
		do(t, s, cmd("quick", fmt.Sprint("again ", i), fmt.Sprint("till ", i), 1))
	}
	g := till.All()
	index := 0
	for _, c := range []struct {
		asOf    time.Time
		members int
	}{{begin, 0}, {middle, 100}} {
		first := keysReadBy(store, func() { require.Len(t, membersOf(t, s, g, c.asOf).members, c.members) })
		again := keysReadBy(store, func() { require.Len(t, membersOf(t, s, g, c.asOf).members, c.members) })
		require.LessOrEqual(t, again, first-500)
		require.True(t, index == 0 || index == again, "the index alone is read again")
		index = again
	}
}

func keysReadBy(store *stream.Memory, f func()) int {
	before := store.Calls().Keys
	f()
	return store.Calls().Keys - before
}

// A process keeps as many entities as it may, and finds the others all the same.
func TestWhatIsKeptForGroupsIsBounded(t *testing.T) {
	for name, cfg := range map[string]actors.Config{"entities": {GroupCache: 10}, "bytes": {GroupCacheBytes: 10_000}} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			cfg.Metrics = registry
			s := newWatch().system(t, stream.NewMemory(), cfg)
			defer s.Close()
			tills(t, s, 200)
			for range 3 {
				require.Len(t, membersOf(t, s, fullish.With(above{99}), time.Time{}).members, 100)
				kept, bytes := gauge(t, registry, "longrun_group_entities"), gauge(t, registry, "longrun_group_entities_bytes")
				require.Positive(t, kept)
				require.Less(t, kept, 20.0)
				require.LessOrEqual(t, bytes, 20_000.0)
			}
		})
	}
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no metric " + name)
	return 0
}

func TestEntitiesThatCannotBeJudged(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	tills(t, s, 200)
	want := map[string]catalog.Code{"till 4": catalog.Unavailable}
	for i := 3; i < 200; i += 40 {
		id := stream.ID{Type: "shop.till", Key: fmt.Sprint("till ", i)}
		values, err := store.Read(t.Context(), []string{id.CommitKey(1)})
		require.NoError(t, err)
		values[0][len(values[0])/2] ^= 1
		require.NoError(t, store.Put(t.Context(), stream.Entry{Key: id.CommitKey(1), Value: values[0]}))
		want[id.Key] = catalog.Internal
	}
	newer := es.NewEntity[tillID]("till", es.EventOf[painted](), es.EventOf[put]())
	content := es.NewProjection(newer, "content", es.On(func(n int, _ painted) int { return n }))
	release, err := actors.New([]*catalog.Domain{es.NewDomain("shop", newer, content,
		es.NewCommand("put", es.Decide("put", move.on, content, func(int, es.Call[move]) (es.Events, es.None, error) {
			return es.Events{painted{}}, es.None{}, nil
		}))).Catalog()}, store, nil, actors.Config{})
	require.NoError(t, err)
	do(t, release, cmd("put", "paint", "till 4", 1))
	release.Close()

	for range 2 { // cold and warm
		f := membersOf(t, s, fullish.With(above{-1}), time.Time{})
		require.Len(t, f.members, 194)
		require.Equal(t, want, f.failed)
		f = membersOf(t, s, till.All(), time.Time{})
		require.Len(t, f.members, 195, "who only asks whether it exists need not know what happened to it")
		f = membersOf(t, s, es.And(had.With(asOf{At: time.Now().AddDate(0, 0, -1)}), fullish.With(above{-1})), time.Time{})
		require.Empty(t, f.members)
		require.Len(t, f.failed, 200, "a bug of the classifier")
	}

	var before []string
	for shard := range actors.Shards {
		ends := false
		require.NoError(t, s.ShardMembers(t.Context(), fullish.With(above{-1}).Catalog(), time.Time{}, shard, 0, func(p actors.MemberPage) error {
			for _, m := range p.Members {
				if ends = len(p.Failed) > 0 && p.Failed[0].Place < m.Place; ends {
					return nil
				}
				before = append(before, m.Key)
			}
			ends = len(p.Failed) > 0
			return nil
		}))
		if ends {
			break
		}
	}
	for limit := 1; limit < 40; limit++ {
		listed := []string{}
		cursor, ended := "", false
		for !ended {
			keys, next, err := s.MemberKeys(t.Context(), fullish.With(above{-1}).Catalog(), nil, cursor, limit)
			if err != nil {
				require.Contains(t, []catalog.Code{catalog.Internal, catalog.Unavailable}, codeOf(err))
				ended = true
			}
			require.False(t, err == nil && next == "", "a list ends where it would be wrong")
			listed, cursor = append(listed, keys...), next
		}
		require.Equal(t, before[:min(len(before), len(listed))], listed, "up to the first that cannot be judged")
	}
}

// A commit is stamped before its entity is registered: as of the commit's time
// the entity is there.
func TestAnEntityIsAMemberAsOfItsFirstCommit(t *testing.T) {
	clock := newWatch()
	s := clock.system(t, stream.NewMemory(), actors.Config{})
	defer s.Close()
	do(t, s, cmd("quick", "q", "a", 5))
	state, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: "a"}, "content", actors.At{})
	require.NoError(t, err)
	born := state.AsOf
	for range 2 {
		require.Empty(t, membersOf(t, s, till.All(), born.Add(-time.Microsecond)).members)
		require.Equal(t, map[string]uint64{"a": 1}, membersOf(t, s, till.All(), born).members)
	}
}

func TestGroupsThatAreRefused(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	future := time.Now().Add(time.Hour)
	none := func(actors.MemberPage) error { t.Error("a page of nothing"); return nil }
	_, _, err := s.MemberKeys(t.Context(), till.All().Catalog(), &future, "", 1)
	require.Equal(t, catalog.Invalid, codeOf(err))
	require.Equal(t, catalog.Invalid, codeOf(s.Members(t.Context(), till.All().Catalog(), future, nil, none)))
	require.Equal(t, catalog.Internal, codeOf(s.Members(t.Context(), nil, time.Time{}, nil, none)))
	require.Equal(t, catalog.Internal, codeOf(s.ShardMembers(t.Context(), till.All().Catalog(), time.Time{}, actors.Shards, 0, none)))
	for _, cursor := range []string{"x", "MTYKMQ", "LTEKMQ"} {
		_, _, err = s.MemberKeys(t.Context(), till.All().Catalog(), nil, cursor, 1)
		require.Equal(t, catalog.Invalid, codeOf(err), cursor)
	}
	require.NoError(t, s.Members(t.Context(), till.All().Catalog(), time.Time{}, nil, none))
	require.Empty(t, listMembers(t, s, till.All(), time.Time{}, 10))
}

// Groups are resolved while their entities move, by many at the same time. What
// moves up only can only be seen to move up.
func TestGroupsWhileTheirEntitiesMove(t *testing.T) {
	store := stream.NewMemory()
	owner := newSystem(t, store)
	s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{GroupCache: 30})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 400 {
				if _, err := owner.Do(t.Context(), cmd("quick", fmt.Sprint("q", w, i), fmt.Sprint((w*7+i)%40), 1)); err != nil {
					t.Error(err)
				}
			}
		})
		readers.Go(func() {
			last := map[string]uint64{}
			for ctx.Err() == nil {
				f := membersOf(t, s, es.And(fullish.With(above{w}), till.All()), time.Time{})
				for key, sequence := range f.members {
					if sequence < last[key] {
						t.Errorf("%s went back from %d to %d", key, last[key], sequence)
					}
					last[key] = sequence
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	keys, _, err := owner.Keys(t.Context(), "shop.till", "", 100)
	require.NoError(t, err)
	g := fullish.With(above{20})
	require.Equal(t, asked(t, owner, g, time.Time{}, keys), membersOf(t, s, g, time.Time{}))
}
