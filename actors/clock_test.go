package actors_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// The times of one commit are the same in memory and in the stream.
func TestACauseWithFinerTimeThanIsStored(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	c := cmd("put", "c1", "a", 1)
	c.CauseAt = time.Now().Add(30*time.Second + 123).In(time.FixedZone("somewhere", 3600))
	do(t, s, c)
	state, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: "a"}, "content", actors.At{})
	require.NoError(t, err)
	require.False(t, state.AsOf.Before(c.CauseAt), "never earlier than the cause")
	require.Equal(t, time.UTC, state.AsOf.Location())
	events, _, err := s.Events(t.Context(), stream.ID{Type: "shop.till", Key: "a"}, 1, 10)
	require.NoError(t, err)
	require.Equal(t, events[0].At, state.AsOf)

	c = cmd("put", "c2", "a", 1)
	c.CauseAt = time.Now().Add(3 * time.Minute)
	_, f := do(t, s, c)
	require.Equal(t, catalog.Unavailable, f.Code)
}

// A classifier that asks for the past does not hold the entity's turn while it is
// read.
func TestAJudgementOfThePastHoldsUpNobody(t *testing.T) {
	store := stream.NewMemory()
	var clock atomic.Int64
	s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{Now: func() time.Time { return time.Unix(clock.Add(1), 0) }})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	do(t, s, cmd("put", "c1", "a", 5))
	between := time.Unix(clock.Load(), 0)
	do(t, s, cmd("put", "c2", "a", 7))
	id := stream.ID{Type: "shop.till", Key: "a"}
	reads := 0
	store.SetHooks(stream.Hooks{BeforeRead: func(keys []string) error {
		if keys[0] == id.CommitKey(1) {
			if reads++; reads == 1 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, err := s.Do(ctx, cmd("put", "c3", "a", 1))
				return err
			}
		}
		return nil
	}})
	params, _ := json.Marshal(asOf{"a", between})
	j, err := s.Classify(t.Context(), id, "had", params, actors.At{})
	require.NoError(t, err)
	require.Equal(t, catalog.Included, j.Verdict)
	require.EqualValues(t, 3, j.Sequence, "one moment's verdict and sequence")

	two := uint64(2)
	j, err = s.Classify(t.Context(), id, "had", params, actors.At{Sequence: &two})
	require.NoError(t, err)
	require.Equal(t, actors.Judgement{Verdict: catalog.Included, Sequence: 2}, j)

	params, _ = json.Marshal(asOf{"a", between.Add(-time.Hour)})
	_, err = s.Classify(t.Context(), id, "had", params, actors.At{})
	require.Equal(t, catalog.Internal, codeOf(err), "it fails on the true past")
	_, err = s.Classify(t.Context(), id, "had", json.RawMessage(`7`), actors.At{})
	require.Equal(t, catalog.Invalid, codeOf(err))
}

// A past that was loaded while its moment was still open is not used once that
// moment is over.
func TestAPastIsNotLoadedTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		var clocks [2]atomic.Int64
		var owners [2]*actors.System
		for i := range owners {
			var err error
			owners[i], err = actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{Now: func() time.Time {
				return noon.Add(time.Duration(clocks[i].Load()) * time.Second)
			}})
			require.NoError(t, err)
			t.Cleanup(owners[i].Close)
		}
		a, b := owners[0], owners[1]
		do(t, a, cmd("put", "c1", "a", 5))
		do(t, b, cmd("put", "other", "b", 5))

		id := stream.ID{Type: "shop.till", Key: "a"}
		var failing, over atomic.Bool
		inserts := 0
		store.SetHooks(stream.Hooks{
			BeforeInsert: func([]stream.Entry) error {
				if inserts++; inserts == 1 { // the others gather
					time.Sleep(time.Second)
					clocks[0].Store(10)
					failing.Store(true)
					return nil
				}
				if failing.Load() {
					return errStore
				}
				return nil
			},
			BeforeRead: func(keys []string) error {
				if keys[0] == id.HeadKey() && failing.Load() && !over.Swap(true) { // a opens again
					failing.Store(false)
					clocks[1].Store(2)
					do(t, b, cmd("put", "c2", "a", 10))
					clocks[1].Store(7)
					do(t, b, cmd("put", "c3", "a", 100))
				}
				return nil
			},
		})
		params, _ := json.Marshal(asOf{"a", noon.Add(5 * time.Second)})
		var wait sync.WaitGroup
		wait.Add(3)
		a.Start(t.Context(), cmd("put", "h", "a", 1), func(_ actors.Answer, err error) { assert.NoError(t, err); wait.Done() })
		synctest.Wait()
		a.Start(t.Context(), cmd("put", "x", "a", 1000), func(_ actors.Answer, err error) {
			assert.Equal(t, catalog.Unavailable, codeOf(err))
			wait.Done()
		})
		a.Start(t.Context(), actors.Command{Name: "shop.back", ID: "p", Params: params}, func(answer actors.Answer, err error) {
			assert.NoError(t, err)
			assert.JSONEq(t, "16", string(answer.Result))
			wait.Done()
		})
		wait.Wait()
	})
}

func TestProgressIsOfOneCommandAndAsOfAMoment(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	before := time.Now().Add(-time.Second)
	do(t, s, cmd("put", "c1", "a", 5))
	_, err := s.Progress(t.Context(), "shop.take", "c1", nil)
	require.Equal(t, catalog.NotFound, codeOf(err), "the id is of another command")
	_, err = s.Progress(t.Context(), "shop.put", "c1", &before)
	require.Equal(t, catalog.NotFound, codeOf(err), "it did not exist yet")
	now := time.Now()
	p, err := s.Progress(t.Context(), "shop.put", "c1", &now)
	require.NoError(t, err)
	require.Equal(t, "completed", p.Status)
	later := now.Add(time.Hour)
	_, err = s.Progress(t.Context(), "shop.put", "c1", &later)
	require.Equal(t, catalog.Invalid, codeOf(err))
}
