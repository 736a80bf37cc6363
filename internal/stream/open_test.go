package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// opened is what Open told its caller.
type opened struct {
	tail   Tail
	heads  []*Head
	passed []uint64
	err    error
}

func open(w *writer, resume bool) (o opened) {
	o.tail, o.err = w.reader().Open(context.Background(), account,
		func(h *Head) bool { o.heads = append(o.heads, h); return resume },
		func(raw Raw) error { o.passed = append(o.passed, raw.Number); return nil })
	return o
}

func TestOpenWithoutAHead(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 17, 200} {
		w := newWriter(t)
		w.ones(size)
		o := open(w, true)
		require.NoError(t, o.err)
		require.Equal(t, w.tail, o.tail)
		require.Equal(t, numbers(1, uint64(size)), o.passed)
		require.Empty(t, o.heads)
	}
}

func TestOpenAtItsHead(t *testing.T) {
	for _, since := range []int{0, 1, 9, 10, 11, 14, 15, 16, 40, 64} {
		w := newWriter(t)
		w.ones(300)
		head := w.head()
		w.putHead(head)
		w.write(-1, 0)
		w.ones(since)
		var o opened
		calls := w.calls(func() { o = open(w, true) })
		require.NoError(t, o.err)
		require.Equal(t, []*Head{&head}, o.heads)
		require.Equal(t, numbers(301, w.tail.Number), o.passed)
		require.LessOrEqual(t, calls, 3, "%d commits since the head", since)

		want := w.tail
		want.Head = &head
		require.Equal(t, want, o.tail)
	}
}

func TestOpenWithoutResumeGoesOnFromTheHead(t *testing.T) {
	w := newWriter(t)
	w.ones(5)
	w.putHead(w.head())
	w.ones(2)
	var passed []uint64
	tail, err := w.reader().Open(context.Background(), account, nil, func(raw Raw) error {
		passed = append(passed, raw.Number)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []uint64{6, 7}, passed)
	require.Equal(t, uint64(7), tail.Number)
}

// A caller whose projection has no snapshot in the head gets all commits, and
// the head's recent ids all the same.
func TestOpenReplaysForACallerThatDoesNotResume(t *testing.T) {
	w := newWriter(t)
	w.ones(40)
	head := w.head()
	w.putHead(head)
	w.ones(30)
	o := open(w, false)
	require.NoError(t, o.err)
	require.Equal(t, numbers(1, 70), o.passed)
	require.Equal(t, []*Head{&head}, o.heads)
	require.Equal(t, &head, o.tail.Head)
	require.Equal(t, w.tail.Hash, o.tail.Hash)
}

func TestOpenOf10000Commits(t *testing.T) {
	w := newWriter(t)
	w.ones(10_000)
	require.LessOrEqual(t, w.calls(func() { open(w, true) }), 15)
}

// A wrong head costs time, never truth.
func TestOpenIgnoresAWrongHead(t *testing.T) {
	other := newWriter(t)
	other.write(2, 2)
	other.ones(18)
	for _, test := range []struct {
		name  string
		spoil func(*Head)
	}{
		{"another hash", func(h *Head) { h.Hash[0] ^= 1 }},
		{"a commit that does not exist", func(h *Head) { h.Number = 1 << 60; h.Recent = nil }},
		{"the newest number there is", func(h *Head) { h.Number = ^uint64(0); h.Recent = nil }},
		{"an earlier commit", func(h *Head) { h.Number--; h.Recent = nil }},
		{"another last sequence", func(h *Head) { h.Last++ }},
		{"another time", func(h *Head) { h.At = h.At.Add(time.Microsecond) }},
		{"another stream's", func(h *Head) { *h = other.head() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			w.ones(20)
			head := w.head()
			test.spoil(&head)
			w.putHead(head)
			w.ones(3)
			o := open(w, true)
			require.NoError(t, o.err)
			require.Empty(t, o.heads)
			require.Equal(t, numbers(1, 23), o.passed)
			require.Equal(t, w.tail, o.tail)
		})
	}
}

func TestOpenIgnoresADamagedHead(t *testing.T) {
	w := newWriter(t)
	w.ones(5)
	head := w.head()
	b := head.Encode()
	b[len(b)/2] ^= 1
	require.NoError(t, w.store.Put(context.Background(), Entry{Key: account.HeadKey(), Value: b}))
	o := open(w, true)
	require.NoError(t, o.err)
	require.Empty(t, o.heads)
	require.Equal(t, numbers(1, 5), o.passed)
}

func TestOpenRefusesACorruptStream(t *testing.T) {
	for _, test := range []struct {
		name   string
		head   bool
		resume bool
		spoil  func(*writer)
		bad    uint64
	}{
		{"damage in the middle, no head", false, true, func(w *writer) { w.damage(10) }, 10},
		{"damage before the head, replayed", true, false, func(w *writer) { w.damage(10) }, 10},
		{"damage at the head", true, true, func(w *writer) { w.damage(20) }, 20},
		{"damage after the head", true, true, func(w *writer) { w.damage(22) }, 22},
		{"a gap after the head", true, true, func(w *writer) { w.store.Delete(account.CommitKey(21)) }, 21},
		{"the head's commit is lost", true, true, func(w *writer) { w.store.Delete(account.CommitKey(20)) }, 20},
		{"a gap before the head, replayed", true, false, func(w *writer) { w.store.Delete(account.CommitKey(12)) }, 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			w.ones(20)
			if test.head {
				w.putHead(w.head())
			}
			w.ones(5)
			test.spoil(w)
			o := open(w, test.resume)
			requireCorrupt(t, o.err, account, test.bad)
			require.Zero(t, o.tail)
		})
	}
}

// A hole of which nothing is seen near its beginning is still seen from the
// head's commit behind it.
func TestOpenReplayReachesTheHead(t *testing.T) {
	w := newWriter(t)
	w.ones(6000)
	w.putHead(w.head())
	for n := uint64(16); n < 6000; n++ {
		w.store.Delete(account.CommitKey(n))
	}
	o := open(w, false)
	requireCorrupt(t, o.err, account, 16)
}

func TestOpenReturnsTheErrorOfUse(t *testing.T) {
	mine := errors.New("mine")
	for _, head := range []bool{false, true} {
		w := newWriter(t)
		w.ones(2)
		if head {
			w.putHead(w.head())
		}
		w.ones(2)
		passed := 0
		tail, err := w.reader().Open(context.Background(), account, nil, func(Raw) error { passed++; return mine })
		require.Equal(t, mine, err)
		require.Zero(t, tail)
		require.Equal(t, 1, passed)
	}
}
