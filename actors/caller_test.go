package actors_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
