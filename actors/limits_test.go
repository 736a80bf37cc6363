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
	require.NotNil(t, f, "a flush would not hold its parameters, and its result three times")
	require.Equal(t, catalog.TooLarge, f.Code, "%v", f)
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
		store.SetHooks(stream.Hooks{BeforePut: func(string) error { time.Sleep(5 * time.Second); return errStore }})
		before, began := runtime.NumGoroutine(), time.Now()
		for i := range 300 {
			for k := range 16 {
				do(t, s, cmd("quick", fmt.Sprint("q", i, "-", k), fmt.Sprint(i), 1))
			}
		}
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine()-before, 200)
		require.Zero(t, time.Since(began), "nobody waited for a head")
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

// fits fails the test where entries would not go through the sidecar as one
// transaction.
func fits(t *testing.T, entries []stream.Entry) error {
	size, keys := 0, map[string]bool{}
	for _, e := range entries {
		size += len(e.Key) + len(e.Value) + 32
		keys[e.Key] = true
	}
	if size > 4<<20-64<<10 || len(keys) < len(entries) {
		t.Errorf("an insert of %d entries, %d keys, %d bytes", len(entries), len(keys), size)
	}
	return nil
}

func TestATurnHoldsNoMoreThanFits(t *testing.T) {
	store := stream.NewMemory()
	s := boxSystem(t, store, boxes(last))
	var commands []actors.Command
	for i := range 60 {
		commands = append(commands, boxCmd("tell", fmt.Sprint("c", i), "a", "", 200_000))
	}
	_, errs := coalesced(t, s, store, boxCmd("fill", "first", "a", "x", 0), commands...)
	require.NoError(t, errors.Join(errs...))
}

// gathered holds the one flusher of a system while commands for existing
// entities gather, then fails the next failures inserts, and counts the inserts.
func gathered(t *testing.T, store *stream.Memory, d *catalog.Domain, failures int, commands ...actors.Command) (inserts int, errs []error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := actors.New([]*catalog.Domain{d}, store, nil, actors.Config{Flushers: 1})
		require.NoError(t, err)
		defer s.Close()
		for i, c := range commands {
			c.ID = fmt.Sprint("before", i)
			do(t, s, c)
		}
		hold, first := make(chan struct{}), true
		store.SetHooks(stream.Hooks{BeforeInsert: func(entries []stream.Entry) error {
			if first {
				first = false
				<-hold
				return nil
			}
			if len(entries) > store.Traits().MaxOps {
				t.Errorf("an insert of %d entries", len(entries))
			}
			if inserts++; inserts <= failures {
				return errStore
			}
			return fits(t, entries)
		}})
		errs = make([]error, len(commands))
		var wait sync.WaitGroup
		blocker := commands[0]
		blocker.ID = "blocker"
		wait.Go(func() { do(t, s, blocker) })
		synctest.Wait()
		for i, c := range commands {
			wait.Go(func() { _, errs[i] = s.Do(context.Background(), c) })
			synctest.Wait()
		}
		close(hold)
		wait.Wait()
		store.SetHooks(stream.Hooks{})
	})
	return inserts, errs
}

func TestAFlushHoldsNoMoreThanFits(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		var commands []actors.Command
		for i := range 20 {
			commands = append(commands, boxCmd("fill", fmt.Sprint("c", i), fmt.Sprint(i), strings.Repeat("x", 300_000), 0))
		}
		_, errs := gathered(t, stream.NewMemory(), boxes(last), 0, commands...)
		require.NoError(t, errors.Join(errs...))
	})
	t.Run("keys", func(t *testing.T) {
		var commands []actors.Command
		for i := range 20 {
			commands = append(commands, cmd("put", fmt.Sprint("c", i), fmt.Sprint(i), 1))
		}
		_, errs := gathered(t, stream.NewMemoryLike(stream.Traits{Rollback: true, Across: true, MaxOps: 10}), domain(), 0, commands...)
		require.NoError(t, errors.Join(errs...))
	})
	t.Run("one key once", func(t *testing.T) {
		_, errs := gathered(t, stream.NewMemory(), domain(), 0, cmd("put", "other", "a", 1), cmd("put", "c1", "b", 1), cmd("put", "c1", "c", 1))
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		require.Equal(t, catalog.Conflict, codeOf(errs[2]))
	})
}

// A flush that failed is sent again as one.
func TestAFlushThatFailedIsSentAgainWhole(t *testing.T) {
	var commands []actors.Command
	for i := range 20 {
		commands = append(commands, cmd("put", fmt.Sprint("c", i), fmt.Sprint(i), 1))
	}
	inserts, errs := gathered(t, stream.NewMemory(), domain(), 1, commands...)
	require.NoError(t, errors.Join(errs...))
	require.Less(t, inserts, 5)
}
