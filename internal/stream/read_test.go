package stream

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommits(t *testing.T) {
	w := newWriter(t)
	w.write(1, -1, 0, 3, 103)
	w.ones(95)
	for _, test := range []struct{ from, to, first, last uint64 }{
		{0, 0, 1, 100},
		{1, 0, 1, 100},
		{1, 1, 1, 1},
		{1, 100, 1, 100},
		{16, 17, 16, 17},
		{100, 0, 100, 100},
		{99, 100, 99, 100},
		{101, 0, 1, 0},
		{5000, 0, 1, 0},
		{math.MaxUint64, 0, 1, 0},
		{7, 6, 1, 0},
	} {
		got, err := collect(w.reader().Commits(context.Background(), account, test.from, test.to))
		require.NoError(t, err, "%+v", test)
		require.Equal(t, numbers(test.first, test.last), got, "%+v", test)
	}
}

func TestCommitsGivesWhatWasWritten(t *testing.T) {
	w := newWriter(t)
	var want []Raw
	for _, appends := range [][]Append{{deposit("a", 2)}, nil, {{ID: "settled"}}, {deposit("b", 1), deposit("c", 3)}} {
		want = append(want, w.put(w.next(appends...)))
	}
	var got []Raw
	for raw, err := range w.reader().Commits(context.Background(), account, 1, 0) {
		require.NoError(t, err)
		got = append(got, raw)
	}
	require.Equal(t, want, got)
	require.Equal(t, []uint64{1, 3, 3, 3}, []uint64{got[0].First, got[1].First, got[2].First, got[3].First})
	require.Equal(t, []uint64{2, 2, 2, 6}, []uint64{got[0].Last(), got[1].Last(), got[2].Last(), got[3].Last()})
}

func TestCommitsOfAnEmptyStream(t *testing.T) {
	w := newWriter(t)
	got, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestCommitsStopsWhenItsCallerDoes(t *testing.T) {
	w := newWriter(t)
	w.ones(100)
	calls := w.calls(func() {
		for range w.reader().Commits(context.Background(), account, 1, 0) { //nolint:errcheck // only the calls are counted
			break
		}
	})
	require.Equal(t, 1, calls)
}

func TestCommitsReadsInFewCalls(t *testing.T) {
	w := newWriter(t)
	w.ones(10_000)
	calls := w.calls(func() {
		got, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
		require.NoError(t, err)
		require.Len(t, got, 10_000)
	})
	require.LessOrEqual(t, calls, 14)
}

// Answers end at 4 MiB in a sidecar: large commits are read in small pages.
func TestPagesShrinkWithTheSizeOfCommits(t *testing.T) {
	w := newWriter(t)
	for range 40 {
		a := deposit("a", 1)
		a.Events[0].Data = make([]byte, 900<<10)
		w.put(w.next(a))
	}
	asked := []int{}
	w.store.SetHooks(Hooks{BeforeRead: func(keys []string) error {
		asked = append(asked, len(keys))
		return nil
	}})
	got, err := collect(w.reader().Commits(context.Background(), account, 1, 40))
	require.NoError(t, err)
	require.Len(t, got, 40)
	require.Equal(t, []int{16, 3, 3, 3, 3, 3, 3, 3, 3}, asked)
}

// A lost commit must not look like the end of the stream, wherever in a page it
// is, and however many are lost with it.
func TestAMissingCommitIsNotTheEnd(t *testing.T) {
	const size = 90
	for lost := uint64(1); lost < size; lost++ {
		for _, width := range []uint64{1, 2, 4} {
			if lost+2*width-1 > size {
				continue // fewer follow than are lost
			}
			w := newWriter(t)
			w.ones(size)
			for n := range width {
				w.store.Delete(account.CommitKey(lost + n))
			}
			got, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
			requireCorrupt(t, err, account, lost)
			require.Equal(t, numbers(1, lost-1), got)
		}
	}
}

func TestACommitThatIsKnownToExistIsMissed(t *testing.T) {
	w := newWriter(t)
	w.ones(30)
	got, err := collect(w.reader().Commits(context.Background(), account, 1, 31))
	requireCorrupt(t, err, account, 31)
	require.Equal(t, numbers(1, 30), got)
}

// The keys of one call may be read one after the other. A commit that was
// absent when its key was read and there a moment later is no gap.
func TestACommitThatIsWrittenMeanwhileIsNoGap(t *testing.T) {
	for _, absent := range []uint64{1, 2, 15, 16, 17, 19} {
		w := newWriter(t)
		w.ones(20)
		first := true
		racing := &racing{Memory: w.store, tear: func(keys []string, values [][]byte) {
			for i, key := range keys {
				if key == account.CommitKey(absent) && first {
					values[i], first = nil, false
				}
			}
		}}
		got, err := collect(Reader{Store: racing}.Commits(context.Background(), account, 1, 0))
		require.NoError(t, err, "absent %d", absent)
		require.Equal(t, numbers(1, 20), got, "absent %d", absent)
	}
}

// racing is a store whose answers are not from one moment.
type racing struct {
	*Memory
	tear func(keys []string, values [][]byte)
}

func (r *racing) Read(ctx context.Context, keys []string) ([][]byte, error) {
	values, err := r.Memory.Read(ctx, keys)
	r.tear(keys, values)
	return values, err
}

func TestWhatDoesNotFollowIsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		wrong func(*Commit)
	}{
		{"another predecessor", func(c *Commit) { c.Prev[31] ^= 1 }},
		{"a gap in the sequences", func(c *Commit) { c.First++ }},
		{"sequences used twice", func(c *Commit) { c.First-- }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, before := range []int{1, 15, 16, 17} { // within a page, and across its border
				w := newWriter(t)
				w.write(2)
				w.ones(before - 1)
				c := w.next(deposit("x", 1))
				test.wrong(&c)
				w.put(c)
				w.ones(3)
				got, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
				requireCorrupt(t, err, account, uint64(before)+1)
				require.Equal(t, numbers(1, uint64(before)), got)
			}
		})
	}
}

func TestTheFirstCommitFollowsNothing(t *testing.T) {
	for _, c := range []Commit{
		{Stream: account, Number: 1, First: 2},
		{Stream: account, Number: 1, First: 1, Prev: Hash{1}},
	} {
		w := newWriter(t)
		w.put(c)
		_, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
		requireCorrupt(t, err, account, 1)
	}
}

// A rewritten commit is sound in itself. The hash in the next one gives it away.
func TestARewrittenCommitIsNoticed(t *testing.T) {
	w := newWriter(t)
	w.ones(2)
	forged := w.next(deposit("mine", 1))
	w.ones(3)
	forged.Appends[0].Events[0].Data = []byte(`{"amount":1000000}`)
	require.NoError(t, w.store.Put(context.Background(), Entry{Key: account.CommitKey(3), Value: forged.Encode()}))
	got, err := collect(w.reader().Commits(context.Background(), account, 1, 0))
	requireCorrupt(t, err, account, 4)
	require.Equal(t, numbers(1, 3), got)
}

func TestDamagedAndMisplacedCommitsAreRefused(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name  string
		spoil func(*writer)
	}{
		{"a flipped bit", func(w *writer) { w.damage(3) }},
		{"an empty value", func(w *writer) { _ = w.store.Put(ctx, Entry{Key: account.CommitKey(3), Value: nil}) }},
		{"another commit of the stream", func(w *writer) {
			values, _ := w.store.Read(ctx, []string{account.CommitKey(4)})
			_ = w.store.Put(ctx, Entry{Key: account.CommitKey(3), Value: values[0]})
		}},
		{"a commit of another stream", func(w *writer) {
			c := Commit{Stream: ID{Type: "bank.account", Key: "577"}, Number: 3, First: 3}
			_ = w.store.Put(ctx, Entry{Key: account.CommitKey(3), Value: c.Encode()})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			w.ones(5)
			test.spoil(w)
			got, err := collect(w.reader().Commits(ctx, account, 1, 0))
			requireCorrupt(t, err, account, 3)
			require.Equal(t, numbers(1, 2), got)
		})
	}
}

var errStore = errors.New("the store is down")

func TestErrorsOfTheStoreAreNotCorruption(t *testing.T) {
	ctx := context.Background()
	w := newWriter(t)
	w.ones(100)
	for _, failing := range []int{1, 2, 3} {
		calls := 0
		w.store.SetHooks(Hooks{BeforeRead: func([]string) error {
			if calls++; calls == failing {
				return errStore
			}
			return nil
		}})
		_, err := collect(w.reader().Commits(ctx, account, 1, 0))
		require.ErrorIs(t, err, errStore)
		require.NotErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, account.String())
	}
	w.store.SetHooks(Hooks{BeforeRead: func([]string) error { return errStore }})
	for name, read := range map[string]func() error{
		"Head":         func() error { _, err := w.reader().Head(ctx, account); return err },
		"Exists":       func() error { _, err := w.reader().Exists(ctx, account, 1); return err },
		"Open":         func() error { _, err := w.reader().Open(ctx, account, nil, nil); return err },
		"FindSequence": func() error { _, _, err := w.reader().FindSequence(ctx, account, 1); return err },
		"FindTime":     func() error { _, err := w.reader().FindTime(ctx, account, morning); return err },
		"Events":       func() error { _, _, err := w.reader().Events(ctx, account, 1, 1); return err },
		"Verify":       func() error { _, err := w.reader().Verify(ctx, account); return err },
	} {
		require.ErrorIs(t, read(), errStore, name)
	}
}

func TestExists(t *testing.T) {
	w := newWriter(t)
	w.ones(3)
	for n, want := range map[uint64]bool{0: false, 1: true, 3: true, 4: false} {
		got, err := w.reader().Exists(context.Background(), account, n)
		require.NoError(t, err)
		require.Equal(t, want, got, "commit %d", n)
	}
}
