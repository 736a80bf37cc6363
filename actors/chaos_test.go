package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// unreliable is a store whose calls fail at random: before they do anything,
// after they did it, or at first, to do it a little later all the same, as a
// write does whose caller gave up on it.
type unreliable struct {
	*stream.Memory
	late sync.WaitGroup
}

var errStore = errors.New("the store failed")

func (u *unreliable) Insert(ctx context.Context, entries []stream.Entry) error {
	switch rand.IntN(10) {
	case 0:
		return errStore
	case 1:
		_ = u.Memory.Insert(ctx, entries)
		return errStore
	case 2:
		u.late.Go(func() {
			<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond)
			_ = u.Memory.Insert(context.Background(), entries)
		})
		return errStore
	}
	return u.Memory.Insert(ctx, entries)
}

func (u *unreliable) Read(ctx context.Context, keys []string) ([][]byte, error) {
	if rand.IntN(20) == 0 {
		return nil, errStore
	}
	return u.Memory.Read(ctx, keys)
}

// Whatever a store fails at, and whoever believes to own an entity, a command
// that is tried until it is answered counts once.
func TestEveryCommandCountsOnceOnAnUnreliableStore(t *testing.T) {
	store := &unreliable{Memory: stream.NewMemory()}
	owners := make([]*actors.System, 2)
	for i := range owners {
		s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{MaxOpen: 3})
		require.NoError(t, err)
		for s.Begin(t.Context()) != nil { // as a start would try again
		}
		owners[i] = s
	}
	const tills, commands = 8, 1000
	var mu sync.Mutex
	want := map[string]int{}
	var wait sync.WaitGroup
	for i := range commands {
		wait.Go(func() {
			key, id := fmt.Sprint(i%tills), fmt.Sprint("c", i)
			c := cmd("put", id, key, 1+i%7)
			change := 1 + i%7
			if i%3 == 0 {
				c, change = cmd("take", id, key, 1+i%5), -(1 + i%5)
			}
			for try := 0; ; try++ {
				_, err := owners[(i+try)%2].Do(context.Background(), c)
				var f *catalog.Fault
				if errors.As(err, &f) && f.Code == catalog.Unavailable {
					continue
				}
				if err == nil {
					mu.Lock()
					want[key] += change
					mu.Unlock()
				} else if f.Code != catalog.Rejected {
					t.Errorf("%s: %v", id, err)
				}
				return
			}
		})
	}
	wait.Wait()
	store.late.Wait()
	for _, s := range owners {
		s.Close()
	}

	reader := newSystem(t, store.Memory)
	for k := range tills {
		key := fmt.Sprint(k)
		n, _ := contentOf(t, reader, key)
		require.Equal(t, want[key], n, "till %s", key)
		r, err := reader.Verify(t.Context(), stream.ID{Type: "shop.till", Key: key})
		require.NoError(t, err)
		require.True(t, r.OK, r.Problem)
	}
	listed := map[string]bool{}
	for cursor := ""; ; {
		items, next, err := reader.Commands(t.Context(), "", "", cursor, 100)
		require.NoError(t, err)
		for _, p := range items {
			require.False(t, listed[p.ID], "%s is listed twice", p.ID)
			listed[p.ID] = true
		}
		if cursor = next; next == "" {
			break
		}
	}
	require.Len(t, listed, commands)
	keys, _, err := reader.Keys(t.Context(), "shop.till", "", 100)
	require.NoError(t, err)
	require.Len(t, keys, tills)
}
