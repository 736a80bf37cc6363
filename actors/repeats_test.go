package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// coalesced starts commands while a first one holds the entity's lane, so that they
// arrive at it in one call, and answers them in their order.
func coalesced(t *testing.T, s *actors.System, store *stream.Memory, first actors.Command, commands ...actors.Command) ([]actors.Answer, []error) {
	t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
		once.Do(func() { close(held); <-hold })
		return fits(t, entries)
	}})
	answers, errs := make([]actors.Answer, len(commands)), make([]error, len(commands))
	var wait sync.WaitGroup
	wait.Add(1 + len(commands))
	s.Start(t.Context(), first, func(actors.Answer, error) { wait.Done() })
	<-held
	for i, c := range commands {
		s.Start(t.Context(), c, func(a actors.Answer, err error) { answers[i], errs[i] = a, err; wait.Done() })
	}
	close(hold)
	wait.Wait()
	return answers, errs
}

// A stale owner refuses at first; its second look accepts, and must say so.
func TestARefusalThatWasOvertakenLeavesNoTrace(t *testing.T) {
	store := stream.NewMemory()
	a, b := newSystem(t, store), newSystem(t, store)
	do(t, a, cmd("put", "c1", "a", 1))
	contentOf(t, b, "a")
	do(t, a, cmd("put", "c2", "a", 10))
	answer, f := do(t, b, cmd("take", "c3", "a", 5))
	require.Nil(t, f)
	require.Equal(t, "completed", answer.Status)
	items, _, err := b.Commands(t.Context(), "", "completed", "", 10)
	require.NoError(t, err)
	require.Len(t, items, 3, "listed as completed too")
}

func TestOneIDTwiceInOneTurn(t *testing.T) {
	t.Run("a rejection", func(t *testing.T) {
		store := stream.NewMemory()
		s := newSystem(t, store)
		took := time.Now()
		_, errs := coalesced(t, s, store, cmd("put", "c1", "a", 1), cmd("take", "c2", "a", 5), cmd("take", "c2", "a", 5), cmd("put", "c3", "a", 1))
		require.Equal(t, catalog.Rejected, codeOf(errs[0]), "%v", errs[0])
		require.Equal(t, errs[0], errs[1])
		require.NoError(t, errs[2])
		require.Less(t, time.Since(took), 5*time.Second)
	})
	t.Run("two commands", func(t *testing.T) {
		store := stream.NewMemory()
		s := newSystem(t, store)
		_, errs := coalesced(t, s, store, cmd("put", "c1", "a", 1), cmd("put", "c2", "a", 5), cmd("take", "c2", "a", 5))
		require.NoError(t, errs[0])
		require.Equal(t, catalog.Conflict, codeOf(errs[1]), "%v", errs[1])
	})
	t.Run("a success", func(t *testing.T) {
		store := stream.NewMemory()
		s := newSystem(t, store)
		answers, errs := coalesced(t, s, store, cmd("put", "c1", "a", 1), cmd("quick", "c2", "a", 5), cmd("quick", "c2", "a", 5))
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, answers[0], answers[1])
		n, _ := contentOf(t, s, "a")
		require.Equal(t, 6, n)
	})
}

// away is a sidecar that brings every call to one other System.
type away struct {
	to    *actors.System
	calls atomic.Int64
}

func (a *away) Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error) {
	a.calls.Add(1)
	if len(payload) > 4<<20 {
		return nil, errors.New("the message is too large")
	}
	return a.to.Invoke(ctx, actorType, actorID, method, payload)
}

// A repeat is known whichever way the first call and it went.
func TestARepeatIsKnownOnEitherWay(t *testing.T) {
	owner := boxSystem(t, stream.NewMemory(), boxes(last))
	far, err := actors.New([]*catalog.Domain{boxes(last)}, stream.NewMemory(), &away{to: owner}, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(far.Close)
	c := actors.Command{Name: "yard.fill", ID: "c1", Params: json.RawMessage(`{"box":"a","text":"1<2 & 3>2 ` + "\u2028" + `"}`)}
	first, f := do(t, owner, c)
	require.Nil(t, f)
	again, f := do(t, far, c)
	require.Nil(t, f)
	require.Equal(t, first, again)

	spaced := c
	spaced.ID, spaced.Params = "c2", json.RawMessage(`{"box": "a", "text": "<"}`)
	first, f = do(t, far, spaced)
	require.Nil(t, f)
	again, f = do(t, owner, spaced)
	require.Nil(t, f)
	require.Equal(t, first, again)
}
