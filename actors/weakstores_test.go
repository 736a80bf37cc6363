package actors_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Stores that cannot do it get one call for each partition.
func TestStoresThatCanDoLittle(t *testing.T) {
	for _, traits := range []stream.Traits{
		{Name: "rollback", Rollback: true, MaxOps: 100},
		{Name: "across", Across: true, MaxOps: 500},
		{Name: "nothing", MaxOps: 1},
	} {
		t.Run(traits.Name, func(t *testing.T) {
			store := stream.NewMemoryLike(traits)
			began := time.Now()
			s := newSystem(t, store)
			var wait sync.WaitGroup
			for i := range 100 {
				wait.Go(func() {
					for range 2 {
						if _, err := s.Do(context.Background(), cmd("put", fmt.Sprint("c", i), fmt.Sprint(i%5), 1)); err != nil {
							t.Error(err)
						}
						if _, err := s.Do(context.Background(), cmd("take", fmt.Sprint("t", i), fmt.Sprint(i%5), 1000)); codeOf(err) != catalog.Rejected {
							t.Error(err)
						}
					}
				})
			}
			wait.Wait()
			require.Less(t, time.Since(began), 5*time.Second)
			for k := range 5 {
				n, _ := contentOf(t, s, fmt.Sprint(k))
				require.Equal(t, 20, n)
			}
			items, _, err := s.Commands(t.Context(), "", "", "", 1000)
			require.NoError(t, err)
			require.Len(t, items, 200)
		})
	}
}

// On a store without rollback, or without transactions over several streams,
// nothing is written before it is known that the command was not given before.
func TestWithoutRollbackARepeatIsLookedForFirst(t *testing.T) {
	for _, traits := range []stream.Traits{{Name: "redis", Across: true, MaxOps: 500}, {Name: "cosmosdb", Rollback: true, MaxOps: 100}} {
		t.Run(traits.Name, func(t *testing.T) { lookedForFirst(t, traits) })
	}
}

func lookedForFirst(t *testing.T, traits stream.Traits) {
	t.Helper()
	store := stream.NewMemoryLike(traits)
	s := newSystem(t, store)
	do(t, s, cmd("put", "c0", "a", 1))
	for i := range 300 { // more than an entity remembers
		do(t, s, cmd("quick", fmt.Sprint("q", i), "a", 1))
	}
	key := stream.ID{Type: "longrun.command", Key: "c0"}.CommitKey(1)
	failures := 1
	store.SetHooks(stream.Hooks{BeforeRead: func(keys []string) error {
		if failures > 0 && slices.Contains(keys, key) {
			failures--
			return errStore
		}
		return nil
	}})
	_, f := do(t, s, cmd("put", "c0", "a", 1))
	require.Nil(t, f)
	n, _ := contentOf(t, s, "a")
	require.Equal(t, 301, n)
}
