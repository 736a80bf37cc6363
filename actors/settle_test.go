package actors_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// steps is the domain of tills with a command of many steps on one of them.
func steps() *catalog.Domain {
	swap := es.NewCommand("swap",
		es.UndoBy(es.Decide("pay", move.on, content, func(n int, c es.Call[move]) (es.Events, int, error) {
			switch {
			case c.In.Amount == 0:
				return nil, n, nil
			case n < c.In.Amount:
				return nil, 0, es.Reject("not-enough", "%d in the till", n)
			}
			return es.Events{taken{c.In.Amount}}, n - c.In.Amount, nil
		}), "give-back", content, func(n int, c es.Call[move]) (es.Events, error) {
			if n > 100 {
				return nil, es.Reject("too-full", "%d in the till", n)
			}
			return es.Events{put{c.In.Amount}}, nil
		}),
		es.Decide("receive", move.on, content, func(n int, c es.Call[move]) (es.Events, int, error) {
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}))
	return es.NewDomain("shop", till, content, log, fullish, unsure, had, putIn, take, open, quick, back, swap).Catalog()
}

func stepSystem(t *testing.T, store stream.Store, cfg actors.Config) *actors.System {
	t.Helper()
	s, err := actors.New([]*catalog.Domain{steps()}, store, nil, cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func stepOf(id, step string, amount int, since time.Time) actors.Command {
	c := cmd("swap", id, "a", amount)
	c.Step, c.CauseAt = step, since
	return c
}

func settling(c actors.Command) actors.Command {
	c.Settle = true
	return c
}

// outcome is what a step's id stands for, by the ways in which a step can end.
type outcome struct {
	id     string
	amount int
	settle bool // it was given up before it came
	answer actors.Answer
	fault  *catalog.Fault
}

// outcomes has a step end in every way on a till that holds 10, and checks it.
func outcomes(t *testing.T, s *actors.System, since time.Time) []*outcome {
	t.Helper()
	do(t, s, cmd("quick", "fund", "a", 10))
	all := []*outcome{{id: "done", amount: 4}, {id: "refused", amount: 70}, {id: "idle", amount: 0}, {id: "given-up", amount: 5, settle: true}}
	for _, o := range all {
		c := stepOf(o.id, "pay", o.amount, since)
		c.Settle = o.settle
		o.answer, o.fault = do(t, s, c)
	}
	require.Equal(t, "completed", all[0].answer.Status)
	require.EqualValues(t, 2, all[0].answer.Sequence)
	require.JSONEq(t, "6", string(all[0].answer.Result))
	require.Equal(t, "not-enough", all[1].fault.Reason)
	require.Equal(t, "completed", all[2].answer.Status)
	require.JSONEq(t, "6", string(all[2].answer.Result))
	require.Equal(t, actors.StatusSettled, all[3].answer.Status)
	return all
}

// stand checks that every outcome is the one that a repeat gets, and a settling.
func stand(t *testing.T, s *actors.System, all []*outcome, since time.Time) {
	t.Helper()
	before, sequence := contentOf(t, s, "a")
	for _, o := range all {
		c := stepOf(o.id, "pay", o.amount, since)
		for _, c := range []actors.Command{c, settling(c), c} {
			answer, f := do(t, s, c)
			switch {
			case o.settle && c.Settle:
				require.Nil(t, f, o.id)
				require.Equal(t, actors.StatusSettled, answer.Status)
			case o.settle:
				require.NotNil(t, f, "a late try of what was given up")
				require.Equal(t, catalog.Conflict, f.Code)
			case o.fault != nil:
				require.Equal(t, o.fault, f, o.id)
			default:
				require.Nil(t, f, o.id)
				require.Equal(t, o.answer, answer, o.id)
			}
		}
	}
	n, last := contentOf(t, s, "a")
	require.Equal(t, before, n)
	require.Equal(t, sequence, last)
}

// Whatever became of a step, its id says so for ever, also when the state has moved
// on, and more was appended since than an entity remembers.
func TestAStepIsAnsweredAsBefore(t *testing.T) {
	whole, store := t, stream.NewMemory()
	s := stepSystem(t, store, actors.Config{})
	since := time.Now()
	all := outcomes(t, s, since)
	stand(t, s, all, since)
	for i := range 10 {
		do(t, s, cmd("quick", fmt.Sprint("more-", i), "a", 100))
	}
	stand(t, s, all, since)
	for i := range 2 * stream.MaxRecent {
		do(t, s, cmd("quick", fmt.Sprint("many-", i), "a", 1))
	}
	t.Run("in memory", func(t *testing.T) { stand(t, s, all, since) })
	t.Run("opened at its head", func(t *testing.T) {
		s.Close()
		head, err := store.Read(t.Context(), []string{stream.ID{Type: "shop.till", Key: "a"}.HeadKey()})
		require.NoError(t, err)
		require.NotNil(t, head[0])
		s = stepSystem(whole, store, actors.Config{})
		stand(t, s, all, since)
	})
	t.Run("opened without a head", func(t *testing.T) {
		s.Close()
		store.Delete(stream.ID{Type: "shop.till", Key: "a"}.HeadKey())
		s = stepSystem(whole, store, actors.Config{})
		stand(t, s, all, since)
	})
	t.Run("what never came happens once", func(t *testing.T) {
		before, _ := contentOf(t, s, "a")
		for range 2 {
			_, f := do(t, s, stepOf("late", "pay", 7, since))
			require.Nil(t, f)
		}
		n, _ := contentOf(t, s, "a")
		require.Equal(t, before-7, n)
	})
}

// Nothing is read where what is remembered reaches back to a step's cause.
func TestARecentCauseNeedsNoLookBack(t *testing.T) {
	store := stream.NewMemory()
	s := stepSystem(t, store, actors.Config{})
	for i := range 2 * stream.MaxRecent {
		do(t, s, cmd("quick", fmt.Sprint("many-", i), "a", 1))
	}
	reads := store.Calls().Read
	_, f := do(t, s, stepOf("c", "pay", 1, time.Now()))
	require.Nil(t, f)
	require.Equal(t, reads, store.Calls().Read)
}

func TestADryRunTakesNoID(t *testing.T) {
	s := stepSystem(t, stream.NewMemory(), actors.Config{})
	since := time.Now()
	dry := stepOf("c", "pay", 4, since)
	dry.Dry = true
	_, f := do(t, s, dry)
	require.Equal(t, "not-enough", f.Reason)
	do(t, s, cmd("quick", "fund", "a", 10))
	answer, f := do(t, s, dry)
	require.Nil(t, f)
	require.JSONEq(t, "6", string(answer.Result))
	n, sequence := contentOf(t, s, "a")
	require.Equal(t, 10, n)
	require.EqualValues(t, 1, sequence)
	answer, f = do(t, s, stepOf("c", "pay", 4, since))
	require.Nil(t, f)
	require.EqualValues(t, 2, answer.Sequence)
	answer, f = do(t, s, dry)
	require.Nil(t, f, "what has happened")
	require.EqualValues(t, 2, answer.Sequence)
}

// The no of an undoing is not the last word: it is asked again.
func TestAnUndoingIsAskedAgain(t *testing.T) {
	s := stepSystem(t, stream.NewMemory(), actors.Config{})
	since := time.Now()
	do(t, s, cmd("quick", "fund", "a", 200))
	_, f := do(t, s, stepOf("c", "give-back", 4, since))
	require.Equal(t, "too-full", f.Reason)
	do(t, s, cmd("take", "t", "a", 190))
	for range 2 {
		_, f = do(t, s, stepOf("c", "give-back", 4, since))
		require.Nil(t, f)
	}
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 14, n)
}

// Steps of one command have ids of their own.
func TestOneStepDoesNotTakeAnothersID(t *testing.T) {
	s := stepSystem(t, stream.NewMemory(), actors.Config{})
	since := time.Now()
	do(t, s, cmd("quick", "fund", "a", 10))
	for _, step := range []string{"pay", "receive", "give-back"} {
		_, f := do(t, s, stepOf("c", step, 4, since))
		require.Nil(t, f, step)
	}
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 14, n)
}

// A cause that is ahead of the owner's clock: a commit is stamped no earlier than
// it, or there is none, so that whoever looks back finds it.
func TestACauseAheadOfTheClock(t *testing.T) {
	store := stream.NewMemory()
	var clock atomic.Int64
	start := time.Now()
	s := stepSystem(t, store, actors.Config{Now: func() time.Time { return start.Add(time.Duration(clock.Load())) }})
	do(t, s, cmd("quick", "fund", "a", 10))

	soon, far := start.Add(30*time.Second), start.Add(5*time.Minute)
	_, f := do(t, s, stepOf("soon", "pay", 1, soon))
	require.Nil(t, f)
	for _, c := range []actors.Command{stepOf("far", "pay", 1, far), settling(stepOf("far", "pay", 1, far))} {
		_, f = do(t, s, c)
		require.NotNil(t, f, "it would be stamped earlier than its cause")
		require.Equal(t, catalog.Unavailable, f.Code)
	}
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 9, n)

	clock.Store(int64(6 * time.Minute))
	answer, f := do(t, s, settling(stepOf("far", "pay", 1, far)))
	require.Nil(t, f)
	require.Equal(t, actors.StatusSettled, answer.Status)
	for i := range 2 * stream.MaxRecent {
		do(t, s, cmd("quick", fmt.Sprint("many-", i), "a", 1))
	}
	before, _ := contentOf(t, s, "a")
	_, f = do(t, s, stepOf("far", "pay", 1, far))
	require.NotNil(t, f)
	require.Equal(t, catalog.Conflict, f.Code)
	_, f = do(t, s, stepOf("soon", "pay", 1, soon))
	require.Nil(t, f)
	n, _ = contentOf(t, s, "a")
	require.Equal(t, before, n)
}

// A try and its settling that arrive in one call are decided in their order.
func TestATryAndItsSettlingAtOnce(t *testing.T) {
	for name, order := range map[string][2]bool{"the try first": {false, true}, "the settling first": {true, false}} {
		t.Run(name, func(t *testing.T) {
			store := stream.NewMemory()
			s := stepSystem(t, store, actors.Config{})
			do(t, s, cmd("quick", "fund", "a", 10))
			since := time.Now()
			var both []actors.Command
			for _, settle := range order {
				c := stepOf("c", "pay", 4, since)
				c.Settle = settle
				both = append(both, c)
			}
			answers, errs := coalesced(t, s, store, cmd("quick", "first", "a", 1), both...)
			require.NoError(t, errs[0])
			n, _ := contentOf(t, s, "a")
			if order[0] {
				require.Equal(t, actors.StatusSettled, answers[0].Status)
				require.Equal(t, catalog.Conflict, codeOf(errs[1]), "%v", errs[1])
				require.Equal(t, 11, n)
				return
			}
			require.NoError(t, errs[1])
			require.Equal(t, answers[0], answers[1])
			require.Equal(t, 7, n)
		})
	}
}

// An entity with an event of a newer release takes no decision, and yet what was
// given up on it can be settled.
func TestAnEntityOfANewerReleaseCanBeSettled(t *testing.T) {
	store := stream.NewMemory()
	s := stepSystem(t, store, actors.Config{})
	do(t, s, cmd("quick", "fund", "a", 10))
	s.Close()
	pot := es.NewEntity[tillID]("till", es.EventOf[taken]())
	holds := es.NewProjection(pot, "content", es.On(func(n int, e taken) int { return n - e.Amount }))
	older := es.NewDomain("shop", pot, holds, es.NewCommand("swap",
		es.Decide("pay", move.on, holds, func(_ int, c es.Call[move]) (es.Events, es.None, error) {
			return es.Events{taken{c.In.Amount}}, es.None{}, nil
		}),
		es.Decide("again", move.on, holds, func(int, es.Call[move]) (es.Events, es.None, error) { return nil, es.None{}, nil }),
	)).Catalog()
	s, err := actors.New([]*catalog.Domain{older}, store, nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c := stepOf("c", "pay", 4, time.Now())
	_, f := do(t, s, c)
	require.Equal(t, catalog.Unavailable, f.Code)
	answer, f := do(t, s, settling(c))
	require.Nil(t, f)
	require.Equal(t, actors.StatusSettled, answer.Status)

	newer := stepSystem(t, store, actors.Config{})
	_, f = do(t, newer, c)
	require.Equal(t, catalog.Conflict, f.Code)
	n, _ := contentOf(t, newer, "a")
	require.Equal(t, 10, n)
}

// A stored answer comes back as it was given, whatever is in it.
func TestAStoredRejectionIsWhole(t *testing.T) {
	s := stepSystem(t, stream.NewMemory(), actors.Config{})
	since := time.Now()
	_, first := do(t, s, stepOf("c", "pay", 4, since))
	require.NotNil(t, first)
	do(t, s, cmd("quick", "fund", "a", 10))
	answer, again := do(t, s, stepOf("c", "pay", 4, since))
	require.Equal(t, first, again)
	a, err := json.Marshal(first)
	require.NoError(t, err)
	b, err := json.Marshal(again)
	require.NoError(t, err)
	require.JSONEq(t, string(a), string(b))
	require.Empty(t, answer.Result)
}
