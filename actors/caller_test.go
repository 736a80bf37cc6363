package actors_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// While a store hangs, whoever waits behind the call that hangs is told in time,
// and a command whose caller was told so is not carried out later.
func TestNobodyWaitsLongerThanACallMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		s := newSystem(t, store)
		_, f := do(t, s, cmd("put", "c1", "a", 1))
		require.Nil(t, f)
		began := time.Now()
		store.SetHooks(stream.Hooks{BeforeInsert: func([]stream.Entry) error {
			time.Sleep(25*time.Second - time.Since(began))
			return nil
		}})
		for i, id := range []string{"c2", "c3"} {
			go func() {
				_, f := do(t, s, cmd("put", id, "a", 10+100*i))
				if f == nil || f.Code != catalog.Unavailable || time.Since(began) != 10*time.Second+time.Duration(i)*time.Second {
					t.Errorf("%s was answered after %s: %v", id, time.Since(began), f)
				}
			}()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		n, _ := contentOf(t, s, "a")
		require.Less(t, n, 100, "the call that hung may have come through, the one behind it was given up on")
	})
}

// Commands for one entity are decided in the order of their Starts, whatever has
// to wait for a turn of its own among them.
func TestCommandsKeepTheirOrder(t *testing.T) {
	s := newSystem(t, stream.NewMemory())
	do(t, s, cmd("put", "first", "a", 1))
	const commands = 2000
	sequences := make([]uint64, commands)
	var wait sync.WaitGroup
	for i := range commands {
		c := cmd("put", fmt.Sprint("c", i), "a", 1)
		if i%50 == 0 {
			params, _ := json.Marshal(asOf{"a", time.Now().Add(-time.Hour)})
			c = actors.Command{Name: "shop.back", ID: fmt.Sprint("c", i), Params: params}
		}
		wait.Add(1)
		s.Start(t.Context(), c, func(a actors.Answer, err error) {
			defer wait.Done()
			if err != nil {
				t.Error(err)
			}
			sequences[i] = a.Sequence
		})
	}
	wait.Wait()
	for i, sequence := range sequences {
		require.EqualValues(t, i+2, sequence)
	}
}

func TestWhatComesAfterTheEndIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, stream.NewMemory())
		do(t, s, cmd("put", "c1", "a", 1))
		s.Close()
		began := time.Now()
		_, f := do(t, s, cmd("put", "c2", "a", 1))
		require.Equal(t, catalog.Unavailable, f.Code)
		require.Zero(t, time.Since(began), "at once")
	})
}
