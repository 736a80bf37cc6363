package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A till takes and pays out: enough of a domain to see every path.
type (
	tillID string
	put    struct {
		Amount int `json:"amount"`
	}
	taken struct {
		Amount int `json:"amount"`
	}
	move struct {
		Till   tillID `json:"till"`
		Amount int    `json:"amount"`
	}
	asOf struct {
		Till tillID    `json:"till"`
		At   time.Time `json:"at"`
	}
	above struct {
		Threshold int `json:"threshold"`
	}
)

func (put) EventName() string   { return "put" }
func (taken) EventName() string { return "taken" }
func (m move) on() tillID       { return m.Till }
func (a asOf) on() tillID       { return a.Till }

var (
	till    = es.NewEntity[tillID]("till", es.EventOf[put](), es.EventOf[taken]())
	content = es.NewProjection(till, "content",
		es.On(func(n int, e put) int { return n + e.Amount }),
		es.On(func(n int, e taken) int { return n - e.Amount }))
	log = es.NewProjection(till, "log",
		es.OnMeta(func(l []uint64, _ put, m es.Meta) []uint64 { return append(l, m.Sequence) }),
		es.OnMeta(func(l []uint64, _ taken, m es.Meta) []uint64 { return append(l, m.Sequence) }))
	had = es.NewClassifier("had", es.Past(content), func(p asOf, past func(time.Time) int) es.Verdict {
		return es.If(100/past(p.At) > 0) // divides by zero where the past is empty
	})
	fullish = es.NewClassifier("above", content, func(p above, n int) es.Verdict { return es.If(n > p.Threshold) })
	unsure  = es.NewClassifier("unsure", log, func(p above, l []uint64) es.Verdict {
		if len(l) == p.Threshold {
			return es.Undecided
		}
		return es.If(len(l) > p.Threshold)
	})

	putIn = es.NewCommand("put", es.Decide("put", move.on, content,
		func(n int, c es.Call[move]) (es.Events, int, error) {
			if c.In.Amount == 666 {
				panic("a bug in the domain")
			}
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}))
	take = es.NewCommand("take", es.Decide("take", move.on, content,
		func(n int, c es.Call[move]) (es.Events, int, error) {
			if n < c.In.Amount {
				return nil, 0, es.Reject("not-enough", "%d in the till", n)
			}
			return es.Events{taken{c.In.Amount}}, n - c.In.Amount, nil
		}))
	open = es.NewCommand("open", es.Decide("open", move.on, content,
		func(_ int, c es.Call[move]) (es.Events, int, error) {
			return es.Events{put{c.In.Amount}}, c.In.Amount, nil
		}).MustBeNew())
	quick = es.NewCommand("quick", es.Decide("quick", move.on, content,
		func(n int, c es.Call[move]) (es.Events, int, error) {
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		})).Unrecorded()
	back = es.NewCommand("back", es.Decide("back", asOf.on, es.Past(content),
		func(past func(time.Time) int, c es.Call[asOf]) (es.Events, int, error) {
			n := past(c.In.At)
			return es.Events{put{n}}, n, nil
		}))
)

func domain() *catalog.Domain {
	return es.NewDomain("shop", till, content, log, fullish, unsure, had, putIn, take, open, quick, back).Catalog()
}

func newSystem(t *testing.T, store stream.Store) *actors.System {
	t.Helper()
	s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.Begin(t.Context()))
	return s
}

func cmd(name, id, key string, amount int) actors.Command {
	params, _ := json.Marshal(move{tillID(key), amount})
	return actors.Command{Name: "shop." + name, ID: id, Params: params}
}

func do(t *testing.T, s *actors.System, c actors.Command) (actors.Answer, *catalog.Fault) {
	t.Helper()
	a, err := s.Do(t.Context(), c)
	if err == nil {
		return a, nil
	}
	var f *catalog.Fault
	if !errors.As(err, &f) { // not require: do runs in goroutines too
		t.Errorf("%s: %v is not a fault", c.ID, err)
		f = &catalog.Fault{Detail: err.Error()}
	}
	return a, f
}

func contentOf(t *testing.T, s *actors.System, key string) (int, uint64) {
	t.Helper()
	state, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: key}, "content", actors.At{Strong: true})
	require.NoError(t, err)
	var n int
	require.NoError(t, json.Unmarshal(state.State, &n))
	return n, state.Sequence
}

func TestACommandIsDecidedStoredAndAnswered(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	a, f := do(t, s, cmd("put", "c1", "a/ü", 5))
	require.Nil(t, f)
	require.Equal(t, actors.Answer{ID: "c1", Command: "shop.put", Status: "completed", Entity: "shop.till", Key: "a/ü", Sequence: 1, Result: json.RawMessage("5")}, a)

	again, f := do(t, s, cmd("put", "c1", "a/ü", 5))
	require.Nil(t, f)
	require.Equal(t, a, again, "the same id gives the same answer")

	_, f = do(t, s, cmd("put", "c1", "a/ü", 6))
	require.Equal(t, catalog.Conflict, f.Code, "the same id with other parameters")
	_, f = do(t, s, cmd("put", "c1", "other", 5))
	require.Equal(t, catalog.Conflict, f.Code, "the same id on another entity")
	_, f = do(t, s, cmd("take", "c1", "a/ü", 5))
	require.Equal(t, catalog.Conflict, f.Code, "the same id of another command")

	n, seq := contentOf(t, s, "a/ü")
	require.Equal(t, 5, n)
	require.EqualValues(t, 1, seq)

	keys, next, err := s.Keys(t.Context(), "shop.till", "", 100)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []string{"a/ü"}, keys)
}

func TestARejectionIsRemembered(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	do(t, s, cmd("put", "c1", "a", 5))
	_, f := do(t, s, cmd("take", "c2", "a", 7))
	require.Equal(t, "not-enough", f.Reason)
	do(t, s, cmd("put", "c3", "a", 5))
	_, f = do(t, s, cmd("take", "c2", "a", 7))
	require.NotNil(t, f, "enough by now, but the id was answered")
	require.Equal(t, "not-enough", f.Reason)
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 10, n)
	p, err := s.Progress(t.Context(), "shop.take", "c2", nil)
	require.NoError(t, err)
	require.Equal(t, "rejected", p.Status)
	require.Equal(t, "not-enough", p.Error.Reason)
}

func TestPreconditions(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	first, f := do(t, s, cmd("open", "c1", "a", 5))
	require.Nil(t, f)
	_, f = do(t, s, cmd("open", "c2", "a", 5))
	require.Equal(t, catalog.Conflict, f.Code)
	for i := range 300 { // more than an entity remembers
		_, f := do(t, s, cmd("put", fmt.Sprint("p", i), "a", 1))
		require.Nil(t, f)
	}
	again, f := do(t, s, cmd("open", "c1", "a", 5))
	require.Nil(t, f, "a repeat is answered, not refused as a conflict")
	require.Equal(t, first, again)

	c := cmd("put", "c3", "a", 1)
	wrong, right := uint64(7), uint64(301)
	c.Expected = &wrong
	_, f = do(t, s, c)
	require.Equal(t, catalog.Conflict, f.Code)
	c.Expected = &right
	_, f = do(t, s, c)
	require.Nil(t, f)
}

func TestAPanicInADecisionHurtsNobodyElse(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			_, err := s.Do(context.Background(), cmd("put", fmt.Sprint("c", i), "a", 1))
			if err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			_, err := s.Do(context.Background(), cmd("put", fmt.Sprint("bad", i), "a", 666))
			var f *catalog.Fault
			if !errors.As(err, &f) || f.Code != catalog.Internal {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 50, n)
}

// Two systems that both believe they own every entity: what Dapr allows for a
// while. Every command must count once.
func TestTwoOwnersFenceEachOther(t *testing.T) {
	store := stream.NewMemory()
	a, b := newSystem(t, store), newSystem(t, store)
	var wait sync.WaitGroup
	for i := range 400 {
		wait.Go(func() {
			key := fmt.Sprint(i % 4)
			for _, s := range []*actors.System{a, b} { // the same id at both
				if _, err := s.Do(context.Background(), cmd("put", fmt.Sprint("c", i), key, 1)); err != nil {
					t.Error(err)
				}
			}
			if _, err := []*actors.System{a, b}[i%2].Do(context.Background(), cmd("quick", fmt.Sprint("q", i), key, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for k := range 4 {
		n, _ := contentOf(t, a, fmt.Sprint(k))
		require.Equal(t, 200, n)
		r, err := b.Verify(t.Context(), stream.ID{Type: "shop.till", Key: fmt.Sprint(k)})
		require.NoError(t, err)
		require.True(t, r.OK, r.Problem)
	}
}

func TestTheCommandsAreListedNewestFirst(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	var want []string
	for i := range 25 {
		id := fmt.Sprint("c", i)
		do(t, s, cmd("put", id, "a", 1))
		want = append([]string{id}, want...)
	}
	var got []string
	cursor := ""
	for {
		items, next, err := s.Commands(t.Context(), "", "", cursor, 10)
		require.NoError(t, err)
		for _, p := range items {
			got = append(got, p.ID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, want, got)
	items, _, err := s.Commands(t.Context(), "shop.take", "", "", 10)
	require.NoError(t, err)
	require.Empty(t, items)
}

func TestADecisionOnThePast(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	s, err := actors.New([]*catalog.Domain{domain()}, stream.NewMemory(), nil, actors.Config{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	do(t, s, cmd("put", "c1", "a", 5))
	mu.Lock()
	between := now
	now = now.Add(time.Hour)
	mu.Unlock()
	do(t, s, cmd("put", "c2", "a", 7))
	params, _ := json.Marshal(asOf{"a", between.Add(time.Minute)})
	a, f := do(t, s, actors.Command{Name: "shop.back", ID: "c3", Params: params})
	require.Nil(t, f)
	require.JSONEq(t, "5", string(a.Result))
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 17, n)
}
