package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// What does not fit is refused at once, and hurts nobody else.
func TestTooLarge(t *testing.T) {
	s := boxSystem(t, stream.NewMemory(), boxes(last))
	began := time.Now()
	for i, c := range []actors.Command{
		boxCmd("tell", "c1", "a", "", 2<<20),                     // a result without events
		boxCmd("fill", "c2", "a", strings.Repeat("x", 2<<20), 0), // an event
	} {
		_, f := do(t, s, c)
		require.NotNil(t, f)
		require.Equal(t, catalog.TooLarge, f.Code, "%d: %v", i, f)
	}
	// What the API lets in is stored, whatever it is made of.
	text := strings.Repeat("<", 1<<20-4096)
	_, f := do(t, s, actors.Command{Name: "yard.fill", ID: "c4", Params: json.RawMessage(`{"box":"a","text":"` + text + `"}`)})
	if f != nil {
		require.Equal(t, catalog.TooLarge, f.Code, "%v", f)
	}
	p := actors.Command{Name: "yard.tell", ID: "c5", Params: json.RawMessage(`{"box":"a","size":900000,"text":"` + text + `"}`)}
	_, f = do(t, s, p)
	if f != nil {
		require.Equal(t, catalog.TooLarge, f.Code, "%v", f)
	}
	require.Less(t, time.Since(began), 5*time.Second)
}

// No insert is larger than a message of the sidecar's.
func TestInsertsFitIntoMessages(t *testing.T) {
	store := stream.NewMemory()
	var largest atomic.Int64
	s := boxSystem(t, store, boxes(last))
	store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
		size := 0
		for _, e := range entries {
			size += len(e.Key) + len(e.Value) + len(e.Partition) + 32
		}
		for {
			was := largest.Load()
			if int64(size) <= was || largest.CompareAndSwap(was, int64(size)) {
				break
			}
		}
		if size > 4<<20 {
			return errors.New("the message is too large")
		}
		return nil
	}})
	text := strings.Repeat("<", 1<<20-4096)
	var wait sync.WaitGroup
	for i := range 4 {
		for _, size := range []int{300_000, 1_000_000} {
			wait.Go(func() {
				c := actors.Command{Name: "yard.tell", ID: fmt.Sprint("t", i, "-", size), Params: json.RawMessage(fmt.Sprintf(`{"box":"%d","size":%d,"text":"%s"}`, i%3, size, text[:i*340_000]))}
				_, err := s.Do(context.Background(), c)
				if err != nil && codeOf(err) != catalog.TooLarge {
					t.Error(err)
				}
				c.Name, c.ID = "yard.fill", "f"+c.ID
				if _, err = s.Do(context.Background(), c); err != nil && codeOf(err) != catalog.TooLarge {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	require.Less(t, largest.Load(), int64(4<<20-64<<10))
}

// A group that cannot be written holds up nobody who shares its flush.
func TestAGroupThatCannotBeWrittenHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{Flushers: 1})
		require.NoError(t, err)
		defer s.Close()
		for i := range 20 {
			do(t, s, cmd("put", fmt.Sprint("o", i), fmt.Sprint(i), 1))
		}
		poison := stream.ID{Type: "shop.till", Key: "0"}.CommitKey(2)
		first := true
		hold := make(chan struct{})
		store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
			if first {
				first = false
				<-hold
			}
			if slices.ContainsFunc(entries, func(e stream.Entry) bool { return e.Key == poison }) {
				return errors.New("not this one")
			}
			return nil
		}})
		var failed atomic.Int64
		began := time.Now()
		go func() { do(t, s, cmd("put", "hold", "19", 1)) }()
		synctest.Wait()
		var wait sync.WaitGroup
		for i := range 19 {
			wait.Go(func() {
				_, err := s.Do(context.Background(), cmd("put", fmt.Sprint("c", i), fmt.Sprint(i), 1))
				if i > 0 && (err != nil || time.Since(began) > 5*time.Second) {
					failed.Add(1)
				}
				if i == 0 && codeOf(err) != catalog.Unavailable {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(hold)
		wait.Wait()
		require.Zero(t, failed.Load(), "commands that had nothing to do with it")
	})
}

// Heads are hints: a store that does not take them must not fill the memory, nor
// hold up the end.
func TestHeadsThatDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{MaxOpen: 10})
		require.NoError(t, err)
		var puts atomic.Int64
		store.SetHooks(stream.Hooks{BeforePut: func(string) error { puts.Add(1); time.Sleep(5 * time.Second); return errStore }})
		before := runtime.NumGoroutine()
		for i := range 300 {
			for k := range 16 {
				do(t, s, cmd("quick", fmt.Sprint("q", i, "-", k), fmt.Sprint(i), 1))
			}
		}
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine()-before, 200)
		began := time.Now()
		s.Close()
		require.Less(t, time.Since(began), 30*time.Second)
	})
}

// Every call has a deadline, also while its commit is in flight.
func TestACallEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory()
		s, err := actors.New([]*catalog.Domain{domain()}, store, nil, actors.Config{})
		require.NoError(t, err)
		const entities = 3000 // several flushes
		for i := range entities {
			do(t, s, cmd("quick", fmt.Sprint("first", i), fmt.Sprint(i), 1))
		}
		store.SetHooks(stream.Hooks{BeforeInsert: func([]stream.Entry) error { time.Sleep(8 * time.Second); return errStore }})
		began := time.Now()
		var wait sync.WaitGroup
		for i := range entities {
			wait.Add(1)
			s.Start(t.Context(), cmd("quick", fmt.Sprint("q", i), fmt.Sprint(i), 1), func(_ actors.Answer, err error) {
				defer wait.Done()
				if codeOf(err) != catalog.Unavailable {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		require.Less(t, time.Since(began), 11*time.Second)
		store.SetHooks(stream.Hooks{})
		s.Close()
	})
}
