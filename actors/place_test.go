package actors_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Where an entity is called, and how long it stays in memory.

// An actor that is let go during a turn, and comes back before its end, is opened
// again: someone else may have had it.
func TestAnActorThatIsLetGoDuringATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		a, b := newSystem(t, store), newSystem(t, store)
		do(t, a, cmd("put", "c1", "a", 1))
		id := stream.ID{Type: "shop.till", Key: "a"}
		read := make(chan string, 1)
		store.SetHooks(stream.Hooks{AfterInsert: func([]stream.Entry) error {
			store.SetHooks(stream.Hooks{})
			a.Deactivate(t.Context(), "shop.till", "a")
			go func() {
				state, err := a.Project(t.Context(), id, "content", actors.At{})
				read <- fmt.Sprint(string(state.State), err)
			}()
			synctest.Wait() // it waits for the turn
			do(t, b, cmd("put", "c3", "a", 4))
			return nil
		}})
		do(t, a, cmd("put", "c2", "a", 2))
		require.Equal(t, "7<nil>", <-read)
	})
}

// itself is a sidecar that brings every call back to the System it came from.
func itself(t *testing.T, shortWay bool) (*actors.System, *away, *stream.Memory) {
	t.Helper()
	store, sidecar := stream.NewMemory(), &away{}
	s, err := actors.New([]*catalog.Domain{domain()}, store, sidecar, actors.Config{ShortWay: shortWay})
	require.NoError(t, err)
	sidecar.to = s
	t.Cleanup(s.Close)
	require.NoError(t, s.Begin(t.Context()))
	return s, sidecar, store
}

func TestTheShortWay(t *testing.T) {
	s, sidecar, store := itself(t, true)
	calls := func(name, id string) int64 {
		before := sidecar.calls.Load()
		_, f := do(t, s, cmd(name, id, "a", 1))
		require.Nil(t, f)
		return sidecar.calls.Load() - before
	}
	require.NotZero(t, calls("put", "c1"), "nobody activated it here")
	require.Zero(t, calls("put", "c2"))
	s.Deactivate(t.Context(), "shop.till", "a")
	require.EqualValues(t, 1, calls("put", "c3"))
	require.Zero(t, calls("put", "c4"))
	s.Lost()
	require.EqualValues(t, 1, calls("put", "c5"))

	// Let go during a turn: nobody new takes the short way.
	var during int64
	store.SetHooks(stream.Hooks{BeforeInsert: func([]stream.Entry) error {
		store.SetHooks(stream.Hooks{})
		s.Lost()
		before := sidecar.calls.Load()
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: "a"}, "content", actors.At{})
			if err != nil {
				t.Error(err)
			}
		}()
		require.Eventually(t, func() bool { during = sidecar.calls.Load() - before; return during > 0 }, 5*time.Second, time.Millisecond)
		return nil
	}})
	calls("put", "c6")
	require.EqualValues(t, 1, during)

	s, sidecar, _ = itself(t, false)
	require.NotZero(t, calls("put", "c1"))
	require.EqualValues(t, 1, calls("put", "c2"))
}

// A call that came to the wrong entity changes nothing.
func TestACommandAboutAnotherEntity(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	answer, err := s.Invoke(t.Context(), "shop.till", "b", "do", actors.PackCommands(cmd("put", "c1", "a", 1)))
	require.NoError(t, err)
	faults, err := actors.UnpackFaults(answer)
	require.NoError(t, err)
	require.Equal(t, catalog.Internal, faults[0].Code)
	for _, key := range []string{"a", "b"} {
		_, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: key}, "content", actors.At{})
		require.Equal(t, catalog.NotFound, codeOf(err))
	}
}

func TestTheLeastRecentlyUsedAreLetGo(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := actors.New([]*catalog.Domain{domain()}, stream.NewMemory(), nil, actors.Config{MaxOpen: 5, Metrics: registry})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for i := range 50 {
		do(t, s, cmd("put", fmt.Sprint("c", i), fmt.Sprint(i), 1))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "longrun_entities_open" {
			require.LessOrEqual(t, f.GetMetric()[0].GetGauge().GetValue(), 6.0)
		}
	}
	n, _ := contentOf(t, s, "3")
	require.Equal(t, 1, n)
}
