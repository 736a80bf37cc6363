package actors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// What an owner is told by heads, by other releases, by clocks and by the
// commands beside one, and what it makes of it.

func TestPreconditionsCountWhatTheTurnHasAppended(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	second := cmd("put", "c3", "a", 1)
	one := uint64(1)
	second.Expected = &one
	_, errs := coalesced(t, s, store, cmd("take", "c1", "a", 5), // refused: the till is new still
		cmd("open", "c2", "a", 5), second, cmd("open", "c4", "a", 5))
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.Equal(t, catalog.Conflict, codeOf(errs[2]))
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 6, n)
}

func TestMustExist(t *testing.T) {
	s := boxSystem(t, stream.NewMemory(), boxes(last))
	_, f := do(t, s, boxCmd("refill", "c1", "a", "x", 0))
	require.Equal(t, catalog.Conflict, f.Code)
	do(t, s, boxCmd("fill", "c2", "a", "x", 0))
	_, f = do(t, s, boxCmd("refill", "c3", "a", "y", 0))
	require.Nil(t, f)
}

// A head gives what it holds, to the release that wrote it.
func TestOpeningAtAHead(t *testing.T) {
	store := stream.NewMemory()
	id := stream.ID{Type: "shop.till", Key: "a"}
	s := newSystem(t, store)
	for i := range 64 {
		do(t, s, cmd("quick", fmt.Sprint("q", i), "a", 1))
	}
	hasHead := func() bool {
		values, err := store.Read(t.Context(), []string{id.HeadKey()})
		require.NoError(t, err)
		return values[0] != nil
	}
	require.Eventually(t, hasHead, 5*time.Second, time.Millisecond, "every 64 commits")
	s.Close()

	s = newSystem(t, store)
	_, f := do(t, s, cmd("quick", "q3", "a", 1))
	require.Nil(t, f)
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 64, n, "it remembers the ids that the head remembered")
	state, err := s.Project(t.Context(), id, "log", actors.At{})
	require.NoError(t, err)
	var log []uint64
	require.NoError(t, json.Unmarshal(state.State, &log))
	require.Len(t, log, 64, "a projection that the head does not hold")
	s.Close()

	s = newSystem(t, store)
	state, err = s.Project(t.Context(), id, "log", actors.At{})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(state.State, &log))
	require.Len(t, log, 64, "also where it is the first to be asked for")
}

func TestASnapshotOfAnotherVersionIsNotUsed(t *testing.T) {
	store := stream.NewMemory()
	s := boxSystem(t, store, boxes(last))
	for i := range 64 {
		do(t, s, boxCmd("fill", fmt.Sprint("c", i), "a", "x", 0))
	}
	s.Close()
	box := es.NewEntity[boxID]("box", es.EventOf[filled]())
	held := es.NewProjection(box, "held", es.On(func(c contents, e filled) contents { return contents{c.Text + e.Text} })).Version(2)
	s = boxSystem(t, store, es.NewDomain("yard", box, held).Catalog())
	state, err := s.Project(t.Context(), stream.ID{Type: "yard.box", Key: "a"}, "held", actors.At{})
	require.NoError(t, err)
	require.JSONEq(t, `"`+strings.Repeat("x", 64)+`"`, string(state.State))
}

// painted is an event of a newer release.
type painted struct{}

func (painted) EventName() string { return "painted" }

func TestWhatANewerReleaseWrote(t *testing.T) {
	box := es.NewEntity[boxID]("box", es.EventOf[filled](), es.EventOf[painted]())
	held := es.NewProjection(box, "held", es.On(last))
	withName := es.NewDomain("yard", box, held,
		es.NewCommand("fill", es.Decide("fill", fill.on, held, func(_ contents, c es.Call[fill]) (es.Events, es.None, error) {
			if c.In.Text == "paint" {
				return es.Events{painted{}}, es.None{}, nil
			}
			return es.Events{filled{c.In.Text}}, es.None{}, nil
		}))).Catalog()
	withVersion := boxes(last, es.Was(func(f filled) filled { return f }))
	id := stream.ID{Type: "yard.box", Key: "a"}
	for name, newer := range map[string]*catalog.Domain{"name": withName, "version": withVersion} {
		t.Run(name, func(t *testing.T) {
			store := stream.NewMemory()
			old := boxSystem(t, store, boxes(last))
			for i := range 20 {
				do(t, old, boxCmd("fill", fmt.Sprint("c", i), "a", "x", 0))
			}
			s := boxSystem(t, store, newer)
			for i := range 20 {
				do(t, s, boxCmd("fill", fmt.Sprint("n", i), "a", "paint", 0))
			}
			s.Close()
			store.Delete(id.HeadKey())

			_, f := do(t, old, boxCmd("fill", "late", "a", "y", 0))
			require.NotNil(t, f)
			require.Equal(t, catalog.Unavailable, f.Code)
			_, f = do(t, old, boxCmd("fill", "c3", "a", "x", 0))
			require.Nil(t, f, "what was answered before is answered still")
			state, err := old.Project(t.Context(), id, "held", actors.At{})
			require.NoError(t, err, "reads are answered")
			require.JSONEq(t, `"x"`, string(state.State))
			require.EqualValues(t, 40, state.Sequence)
			old.Close()
			values, err := store.Read(t.Context(), []string{id.HeadKey()})
			require.NoError(t, err)
			require.Nil(t, values[0], "a head would hide the event from a release that knows it")
		})
	}
}

func TestClocks(t *testing.T) {
	var clock atomic.Int64
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	registry := prometheus.NewRegistry()
	s, err := actors.New([]*catalog.Domain{domain()}, stream.NewMemory(), nil, actors.Config{
		Metrics: registry, Now: func() time.Time { return at(int(clock.Load())) },
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	id := stream.ID{Type: "shop.till", Key: "a"}
	put := func(id string, second int, amount int) {
		clock.Store(int64(second))
		_, f := do(t, s, cmd("put", id, "a", amount))
		require.Nil(t, f)
	}
	put("c1", 100, 1)
	put("c2", 100, 2) // at the same moment
	put("c3", 50, 4)  // the clock ran back
	put("c4", 120, 8)
	events, _, err := s.Events(t.Context(), id, 1, 10)
	require.NoError(t, err)
	var seconds []int
	for _, e := range events {
		seconds = append(seconds, int(e.At.Sub(start)/time.Second))
	}
	require.Equal(t, []int{100, 100, 100, 120}, seconds)

	for second, want := range map[int]int{99: 0, 100: 7, 119: 7, 120: 15} {
		moment := at(second)
		state, err := s.Project(t.Context(), id, "content", actors.At{Time: &moment})
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprint(want), string(state.State), "as of %d", second)
	}
	future := at(121)
	_, err = s.Project(t.Context(), id, "content", actors.At{Time: &future})
	require.Equal(t, catalog.Invalid, codeOf(err))

	past := func(id string, second int) string { // adds what it answers
		params, _ := json.Marshal(asOf{"a", at(second)})
		a, f := do(t, s, actors.Command{Name: "shop.back", ID: id, Params: params})
		require.Nil(t, f)
		return string(a.Result)
	}
	clock.Store(130)
	require.Equal(t, "0", past("p1", 99))
	require.Equal(t, "7", past("p2", 100), "inclusive, all of that moment")
	require.Equal(t, "22", past("p3", 130), "the moment of the last commit")
	require.Equal(t, "44", past("p4", 1000), "no later than now")

	alarms := func() float64 {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "longrun_clock_alarms_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return -1
	}
	put("c5", 130-60, 1)
	require.Zero(t, alarms())
	put("c6", 130-61, 1)
	require.Equal(t, 1.0, alarms())
}

// A turn that is out of time commits nothing.
func TestATurnThatIsLateCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := es.NewEntity[boxID]("box", es.EventOf[filled]())
		held := es.NewProjection(box, "held", es.On(last))
		slow := false
		store := stream.NewMemory()
		s, err := actors.New([]*catalog.Domain{es.NewDomain("yard", box, held,
			es.NewCommand("fill", es.Decide("fill", fill.on, held, func(_ contents, c es.Call[fill]) (es.Events, es.None, error) {
				if slow {
					time.Sleep(11 * time.Second)
				}
				return es.Events{filled{c.In.Text}}, es.None{}, nil
			}))).Catalog()}, store, nil, actors.Config{})
		require.NoError(t, err)
		defer s.Close()
		do(t, s, boxCmd("fill", "c1", "a", "x", 0))
		slow = true
		before := store.Calls().Insert
		_, f := do(t, s, boxCmd("fill", "c2", "a", "y", 0))
		require.Equal(t, catalog.Unavailable, f.Code)
		time.Sleep(time.Minute)
		require.Equal(t, before, store.Calls().Insert)
	})
}

// Transactions that touch the same keys in different orders deadlock on some
// stores.
func TestTheKeysOfATransactionAreSorted(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	var unsorted, several atomic.Int64
	store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
		if len(entries) > 2 {
			several.Add(1)
		}
		if !slices.IsSortedFunc(entries, func(a, b stream.Entry) int { return strings.Compare(a.Key, b.Key) }) {
			unsorted.Add(1)
		}
		return nil
	}})
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() { _, _ = s.Do(context.Background(), cmd("put", fmt.Sprint("c", 200-i), fmt.Sprint(i%20), 1)) })
	}
	wait.Wait()
	require.NotZero(t, several.Load())
	require.Zero(t, unsorted.Load())
}

// On a store without rollback the rest of a group follows its commit, however
// often that fails, and whatever became of it.
func TestWithoutRollbackTheRestFollows(t *testing.T) {
	t.Run("after a failure", func(t *testing.T) {
		store := stream.NewMemoryLike(stream.Traits{Name: "redis", Across: true, MaxOps: 500})
		s := newSystem(t, store)
		failures := 2
		store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
			if failures > 0 && strings.HasPrefix(entries[0].Key, "es~longrun.command~") {
				failures--
				return errStore
			}
			return nil
		}})
		_, f := do(t, s, cmd("put", "c1", "a", 1))
		require.Nil(t, f)
		require.Zero(t, failures)
		p, err := s.Progress(t.Context(), "shop.put", "c1", nil)
		require.NoError(t, err)
		require.Equal(t, "completed", p.Status)
	})
	t.Run("taken by another host", func(t *testing.T) {
		store := stream.NewMemoryLike(stream.Traits{Name: "redis", Across: true, MaxOps: 500})
		a, b := newSystem(t, store), newSystem(t, store)
		var once sync.Once
		store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
			if strings.HasPrefix(entries[0].Key, "es~longrun.command~") {
				once.Do(func() {
					store.SetHooks(stream.Hooks{})
					do(t, b, cmd("put", "c1", "b", 1))
				})
			}
			return nil
		}})
		began := time.Now()
		_, err := a.Do(t.Context(), cmd("put", "c1", "a", 1))
		require.NotEqual(t, catalog.Unavailable, codeOf(err), "%v", err)
		require.Less(t, time.Since(began), 5*time.Second)
	})
}

// An entity that is let go leaves a head where that is worth it.
func TestAHeadForThoseLetGo(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	for i := range 16 {
		do(t, s, cmd("quick", fmt.Sprint("q", i), "a", 1))
	}
	do(t, s, cmd("quick", "q", "b", 1))
	s.Close()
	values, err := store.Read(t.Context(), []string{
		stream.ID{Type: "shop.till", Key: "a"}.HeadKey(), stream.ID{Type: "shop.till", Key: "b"}.HeadKey(),
	})
	require.NoError(t, err)
	require.NotNil(t, values[0])
	require.Nil(t, values[1])
}

// What a fold was told of an event when it was decided is what it is told when
// the stream is read.
func TestMemoryAndStreamDoNotDiffer(t *testing.T) {
	box := es.NewEntity[boxID]("box", es.EventOf[filled]())
	metas := es.NewProjection(box, "metas", es.OnMeta(func(l []es.Meta, _ filled, m es.Meta) []es.Meta { return append(l, m) }))
	d := es.NewDomain("yard", box, metas, es.NewCommand("fill", es.Decide("fill", fill.on, metas,
		func(_ []es.Meta, c es.Call[fill]) (es.Events, es.None, error) {
			return es.Events{filled{c.In.Text}, filled{"and"}}, es.None{}, nil
		}))).Catalog()
	store := stream.NewMemory()
	s := boxSystem(t, store, d)
	for i := range 3 {
		c := boxCmd("fill", fmt.Sprint("c", i), "a", "x", 0)
		c.Context = stream.Context{Who: "me", Source: "here", Commentary: "why", CorrelationID: "corr", CausationID: "cause"}
		_, f := do(t, s, c)
		require.Nil(t, f)
	}
	read := func(s *actors.System) (m []es.Meta) {
		state, err := s.Project(t.Context(), stream.ID{Type: "yard.box", Key: "a"}, "metas", actors.At{})
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(state.State, &m))
		return m
	}
	inMemory := read(s)
	require.Equal(t, inMemory, read(boxSystem(t, store, d)))
	require.Len(t, inMemory, 6)
	for i, m := range inMemory {
		require.EqualValues(t, i+1, m.Sequence)
		require.WithinDuration(t, time.Now(), m.At, time.Minute)
		require.Equal(t, es.Meta{
			Type: "yard.box", Key: "a", Sequence: m.Sequence, At: m.At, Schema: m.Schema,
			Who: "me", Source: "here", Commentary: "why", CorrelationID: "corr", CausationID: "cause",
		}, m)
		require.NotEmpty(t, m.Schema)
	}
}
