package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// firstLook is how many commits are looked at before the head is: a stream
	// that ends among them is read in one call.
	firstLook = 12
	// afterHead is how many commits are read with a head's, at first.
	afterHead = 8
	// usualSize is taken for a commit's bytes until some were read.
	usualSize = 1 << 10
)

// Opening is one of many streams that are opened together, and what came of it.
type Opening struct {
	ID     ID
	After  Tail             // the caller has the commits up to it already; zero: none
	Until  time.Time        // commits after it are left out; zero: none is
	Resume func(*Head) bool // as for Open; asked neither with After nor about a head after Until
	Use    func(Raw) error  // as for Open; its error ends this opening alone

	Tail Tail      // the stream's end, or its last commit until Until
	Next time.Time // of the commit after Tail, if Until left one out
	Err  error     // what is wrong with the stream, or Use's error; the rest is void then

	step   step
	head   *Head
	next   uint64 // the commit to read
	window uint64 // how many to read
	size   int    // of a commit on average
	held   [][]byte
}

// step is what an Opening reads next.
type step int

const (
	lookFirst step = iota // the first commits, which may be all
	readHead              // the head
	atHead                // the head's commit and those after it
	readOn                // commits
	atEnd                 // nothing
)

// OpenAll opens many streams, each as Open does, in few calls to the store; of
// a stream of a few commits it does not look at the head. An error is the
// store's, and leaves all of them void; what is wrong with one stream is its
// Opening's Err. A call asks for about a thousand commits or a few MiB at most.
func (r Reader) OpenAll(ctx context.Context, openings []*Opening) error {
	for _, o := range openings {
		o.begin()
	}
	for waiting := slices.Clone(openings); len(waiting) > 0; {
		var keys []string
		n, size := 0, 0
		for ; n < len(waiting); n++ {
			some := waiting[n].keys()
			size += len(some) * waiting[n].size
			if n > 0 && (len(keys)+len(some) > lastPage || size > MaxBatch) {
				break
			}
			keys = append(keys, some...)
		}
		values, err := r.Read(ctx, keys)
		if err != nil {
			return fmt.Errorf("read %d streams: %w", n, err)
		}
		round := waiting[:n:n]
		waiting = waiting[n:]
		for _, o := range round {
			mine := len(o.keys())
			if err := o.take(ctx, r, values[:mine:mine]); err != nil {
				return err
			}
			values = values[mine:]
			if o.step != atEnd {
				waiting = append(waiting, o)
			}
		}
	}
	return nil
}

func (o *Opening) begin() {
	o.Tail, o.Next, o.Err, o.head, o.held = Tail{}, time.Time{}, nil, nil, nil
	o.step, o.next, o.window, o.size = lookFirst, 1, firstLook, usualSize
	if o.After.Number > 0 {
		o.Tail, o.step, o.next, o.window = o.After, readOn, o.After.Number+1, enough
		if o.next == 0 {
			o.step = atEnd
		}
	}
}

// keys is what the opening reads in its next step.
func (o *Opening) keys() []string {
	if o.step == readHead {
		return []string{o.ID.HeadKey()}
	}
	partition := o.ID.Partition()
	n := min(o.window-1, ^uint64(0)-o.next) + 1
	keys := make([]string, n)
	for i := range keys {
		keys[i] = commitKey(partition, o.next+uint64(i))
	}
	return keys
}

// take goes on with what was read. An error is the store's.
func (o *Opening) take(ctx context.Context, r Reader, values [][]byte) error {
	switch o.step {
	case lookFirst:
		ends, err := o.endsWithin(values)
		if err != nil {
			return o.fail(err)
		}
		if !ends {
			o.step, o.held = readHead, values
			return nil
		}
		o.step = readOn
	case readHead:
		if h := usableHead(values[0]); h != nil {
			o.head, o.step, o.next, o.window = h, atHead, h.Number, afterHead
			return nil
		}
		return o.replay(ctx, r)
	case atHead:
		if values[0] == nil {
			o.head = nil
			return o.replay(ctx, r)
		}
		raw, err := decodeRaw(o.ID, o.next, values[0])
		switch {
		case err != nil:
			return o.fail(err)
		case !o.head.describes(&raw):
			o.head = nil
			return o.replay(ctx, r)
		case o.late(&raw) || o.Resume != nil && !o.Resume(o.head):
			return o.replay(ctx, r)
		}
		o.step, o.held = readOn, nil
		o.Tail = tailOf(&raw)
		o.Tail.Head, o.head = o.head, nil
		if o.next++; o.next == 0 {
			o.step = atEnd
			return nil
		}
		values = values[1:]
	}
	return o.readOn(ctx, r, values)
}

// usableHead is the head that is stored so; nil if it is absent or damaged.
func usableHead(value []byte) *Head {
	if value == nil {
		return nil
	}
	h, err := DecodeHead(value)
	if err != nil {
		return nil
	}
	return &h
}

// endsWithin says whether no head is needed: the stream, or what is wanted of
// it, ends among its first commits.
func (o *Opening) endsWithin(values [][]byte) (bool, error) {
	last := len(values) - 1
	if values[last] == nil || o.Until.IsZero() {
		return values[last] == nil, nil
	}
	raw, err := decodeRaw(o.ID, o.next+uint64(last), values[last])
	return err == nil && o.late(&raw), err
}

func (o *Opening) late(raw *Raw) bool { return !o.Until.IsZero() && raw.At.After(o.Until) }

// replay goes on from the first commits, which were held until the head was
// known.
func (o *Opening) replay(ctx context.Context, r Reader) error {
	held := o.held
	o.step, o.next, o.window, o.held = readOn, 1, firstLook, nil
	o.Tail = Tail{}
	return o.readOn(ctx, r, held)
}

// readOn gives commits to Use, and finds out whether the stream ends here.
func (o *Opening) readOn(ctx context.Context, r Reader, values [][]byte) error {
	got, total := 0, 0
	for ; got < len(values) && values[got] != nil; got++ {
		raw, err := decodeRaw(o.ID, o.next, values[got])
		if err == nil {
			err = o.Tail.check(&raw.Commit)
		}
		if err != nil {
			return o.fail(err)
		}
		if o.late(&raw) {
			o.Next, o.step = raw.At, atEnd
			return nil
		}
		if err := o.Use(raw); err != nil {
			o.Err, o.step = err, atEnd
			return nil //nolint:nilerr // of this stream alone: the others go on
		}
		head := o.Tail.Head
		o.Tail = tailOf(&raw)
		o.Tail.Head = head
		total += len(raw.Bytes)
		if o.next++; o.next == 0 {
			o.step = atEnd
			return nil
		}
	}
	if got > 0 {
		o.size = max(total/got, 1)
	}
	absent := values[got:]
	switch {
	case len(absent) == 0:
		o.window = min(o.window*pageGrowth, lastPage, uint64(max(1, MaxBatch/o.size)))
	case slices.ContainsFunc(absent, func(b []byte) bool { return b != nil }):
		if _, err := r.confirmEnd(ctx, o.ID, o.next, true); err != nil {
			return o.fail(err)
		}
	case len(absent) < enough:
		o.window = firstLook
	default:
		o.end()
	}
	return nil
}

func (o *Opening) end() {
	o.step = atEnd
	if o.head != nil && o.Tail.Number < o.head.Number {
		o.Err = &CorruptError{Stream: o.ID, Number: o.Tail.Number + 1, Problem: "it is missing, though the head's commit exists"}
		return
	}
	if o.head != nil {
		o.Tail.Head = o.head
	}
}

// fail ends the opening at what is wrong with the stream. Another error is
// returned.
func (o *Opening) fail(err error) error {
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
		return err
	}
	o.Err, o.step = err, atEnd
	return nil
}
