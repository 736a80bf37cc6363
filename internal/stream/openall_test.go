package stream

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// openingOf is an Opening that writes down what it is told.
func openingOf(id ID, resume bool) (*Opening, *opened) {
	o := &opened{}
	return &Opening{
		ID:     id,
		Resume: func(h *Head) bool { o.heads = append(o.heads, h); return resume },
		Use:    func(raw Raw) error { o.passed = append(o.passed, raw.Number); return nil },
	}, o
}

// Many streams opened together come to what each comes to alone: long and short
// ones, with heads that are true, wrong, refused and absent, and with commits
// that are damaged or missing.
func TestOpenAllIsOpenForEach(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := NewMemory()
		r := Reader{Store: store}
		var openings []*Opening
		var told []*opened
		var resume []bool
		spoiled := map[ID]bool{}
		for i := range rapid.IntRange(1, 5).Draw(rt, "streams") {
			w := newWriterOf(t, store, ID{Type: "bank.account", Key: strconv.Itoa(i)})
			before := rapid.IntRange(0, 60).Draw(rt, "before")
			w.ones(before)
			if before > 0 && rapid.Bool().Draw(rt, "head") {
				h := w.head()
				switch rapid.SampledFrom([]string{"true", "hash", "beyond", "last"}).Draw(rt, "is") {
				case "hash":
					h.Hash[3] ^= 1
				case "beyond":
					h.Number, h.Recent = h.Number+uint64(rapid.IntRange(1, 100).Draw(rt, "by")), nil
				case "last":
					h.Last++
				}
				w.putHead(h)
			}
			w.write(rapid.SliceOfN(rapid.SampledFrom([]int{-1, 0, 1, 2, 103}), 0, 40).Draw(rt, "after")...)
			if w.tail.Number > 0 {
				n := rapid.Uint64Range(1, w.tail.Number).Draw(rt, "commit")
				switch rapid.SampledFrom([]string{"sound", "sound", "damaged", "missing"}).Draw(rt, "stream") {
				case "damaged":
					w.damage(n)
					spoiled[w.id] = true
				case "missing":
					store.Delete(w.id.CommitKey(n))
					spoiled[w.id] = true
				}
			}
			resume = append(resume, rapid.Bool().Draw(rt, "resume"))
			o, what := openingOf(w.id, resume[i])
			openings, told = append(openings, o), append(told, what)
		}
		require.NoError(rt, r.OpenAll(context.Background(), openings))
		for i, o := range openings {
			alone, want := openingOf(o.ID, resume[i])
			tail, err := r.Open(context.Background(), o.ID, alone.Resume, alone.Use)
			if err != nil {
				require.Error(rt, o.Err, "%v", err)
				require.ErrorIs(rt, o.Err, ErrCorrupt)
				continue
			}
			if spoiled[o.ID] && o.Err != nil { // it looks at the first commits, which Open with a head does not
				require.ErrorIs(rt, o.Err, ErrCorrupt)
				continue
			}
			require.NoError(rt, o.Err)
			if tail.Number < firstLook {
				tail.Head = nil
				want = &opened{passed: numbers(1, tail.Number)}
			}
			require.Equal(rt, tail, o.Tail)
			require.Equal(rt, want.passed, told[i].passed)
			require.Equal(rt, want.heads, told[i].heads)
		}
	})
}

func TestOpenAllAfterATail(t *testing.T) {
	for _, since := range []int{0, 1, 4, 5, 6, 30} {
		w := newWriter(t)
		w.ones(20)
		w.putHead(w.head())
		after := w.tail
		w.ones(since)
		o, told := openingOf(account, true)
		o.After = after
		calls := w.calls(func() { require.NoError(t, w.reader().OpenAll(t.Context(), []*Opening{o})) })
		require.NoError(t, o.Err)
		require.Equal(t, w.tail, o.Tail)
		require.Equal(t, numbers(21, 20+uint64(since)), told.passed)
		require.Empty(t, told.heads, "who has a tail needs no head")
		if since == 0 {
			require.Equal(t, 1, calls)
		}
	}
}

func TestOpenAllAfterATailOfAnotherStream(t *testing.T) {
	w := newWriter(t)
	w.ones(20)
	o, _ := openingOf(account, true)
	o.After = w.tail
	o.After.Hash[0] ^= 1
	require.NoError(t, w.reader().OpenAll(t.Context(), []*Opening{o}))
	require.NoError(t, o.Err, "nothing follows that could tell")
	w.ones(1)
	require.NoError(t, w.reader().OpenAll(t.Context(), []*Opening{o}))
	require.ErrorIs(t, o.Err, ErrCorrupt)
}

// Until a moment, a stream is what its commits up to it are. A head is of use
// if it is not after that.
func TestOpenAllUntil(t *testing.T) {
	w := newWriter(t)
	w.ones(40)
	head := w.head()
	w.putHead(head)
	w.ones(40)
	at := func(n uint64) time.Time { return morning.Add(time.Duration(n-1) * w.step) }
	for _, n := range []uint64{1, 2, 5, 12, 13, 39, 40, 41, 79, 80, 90} {
		o, told := openingOf(account, true)
		o.Until = at(n)
		require.NoError(t, w.reader().OpenAll(t.Context(), []*Opening{o}))
		require.NoError(t, o.Err)
		last := min(n, 80)
		require.Equal(t, last, o.Tail.Number)
		require.Equal(t, at(last), o.Tail.At)
		if last < 80 {
			require.Equal(t, at(last+1), o.Next)
		} else {
			require.Zero(t, o.Next)
		}
		if n < 40 {
			require.Equal(t, numbers(1, last), told.passed, "the head is of later")
			require.Empty(t, told.heads)
		} else {
			require.Equal(t, numbers(41, last), told.passed)
			require.Len(t, told.heads, 1)
		}
	}
	o, told := openingOf(account, true)
	o.Until = at(1).Add(-time.Microsecond)
	require.NoError(t, w.reader().OpenAll(t.Context(), []*Opening{o}))
	require.NoError(t, o.Err)
	require.Equal(t, Tail{}, o.Tail)
	require.Equal(t, morning, o.Next)
	require.Empty(t, told.passed)
}

func TestOpenAllTakesFewCalls(t *testing.T) {
	store := NewMemory()
	r := Reader{Store: store}
	open := func(after map[ID]Tail) int {
		var openings []*Opening
		for i := range 500 {
			o, _ := openingOf(ID{Type: "bank.account", Key: strconv.Itoa(i)}, true)
			o.After = after[o.ID]
			openings = append(openings, o)
		}
		before := store.Calls().Read
		require.NoError(t, r.OpenAll(t.Context(), openings))
		for _, o := range openings {
			require.NoError(t, o.Err)
		}
		return store.Calls().Read - before
	}
	require.LessOrEqual(t, open(nil), 6, "of nothing")
	tails := map[ID]Tail{}
	for i := range 500 {
		w := newWriterOf(t, store, ID{Type: "bank.account", Key: strconv.Itoa(i)})
		w.ones(3)
		tails[w.id] = w.tail
	}
	require.LessOrEqual(t, open(nil), 6)
	require.LessOrEqual(t, open(tails), 3)
}

func TestAnErrorOfUseEndsOneOpening(t *testing.T) {
	store := NewMemory()
	broken := errors.New("broken")
	var openings []*Opening
	for i := range 3 {
		w := newWriterOf(t, store, ID{Type: "bank.account", Key: strconv.Itoa(i)})
		w.ones(20)
		o, _ := openingOf(w.id, true)
		openings = append(openings, o)
	}
	openings[1].Use = func(Raw) error { return broken }
	require.NoError(t, Reader{Store: store}.OpenAll(t.Context(), openings))
	require.NoError(t, openings[0].Err)
	require.Equal(t, broken, openings[1].Err)
	require.NoError(t, openings[2].Err)
	require.EqualValues(t, 20, openings[2].Tail.Number)
}

func TestAnErrorOfTheStoreEndsAllOpenings(t *testing.T) {
	w := newWriter(t)
	w.ones(30)
	broken := errors.New("broken")
	for failing := range 3 {
		reads := 0
		w.store.SetHooks(Hooks{BeforeRead: func([]string) error {
			if reads++; reads > failing {
				return broken
			}
			return nil
		}})
		o, _ := openingOf(account, true)
		require.ErrorIs(t, w.reader().OpenAll(t.Context(), []*Opening{o}), broken)
	}
}
