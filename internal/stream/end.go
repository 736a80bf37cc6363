package stream

import (
	"context"
	"math"
	"slices"
)

// A stream ends at the first absent commit. A store that lost a commit looks
// the same, and taking that for the end would lose money silently; so the end
// is believed only when later commits are absent as well. A run of up to four
// lost commits is always noticed if as many follow it. So is a longer one by
// Verify, and by whoever replays up to a head that lies behind it.

// enough is how many absent commits in a page end a stream without another look.
const enough = 5

// ended says whether the stream ends before commit n, which was absent in a
// page that ended with the given values, the first of them for n. It is false
// if n has appeared since then. known says that n was there before.
func (r Reader) ended(ctx context.Context, id ID, n uint64, values [][]byte, known bool) (bool, error) {
	known = known || slices.ContainsFunc(values, func(b []byte) bool { return b != nil })
	if !known && len(values) >= enough {
		return true, nil
	}
	return r.confirmEnd(ctx, id, n, known)
}

// confirmEnd looks at commit n again, and at some after it, near and far. With
// later, a commit after n was seen already: if n is absent still, it is
// missing. The keys of one call may be read one after the other while commits
// are being written, so one call alone proves no gap.
func (r Reader) confirmEnd(ctx context.Context, id ID, n uint64, later bool) (bool, error) {
	numbers := []uint64{n}
	for step := uint64(1); step <= 4096 && step < math.MaxUint64-n; step *= 2 {
		numbers = append(numbers, n+step)
	}
	for {
		values, err := r.values(ctx, id, numbers)
		switch {
		case err != nil:
			return false, err
		case values[0] != nil:
			return false, nil
		case later:
			return false, &CorruptError{Stream: id, Number: n, Problem: "it is missing, though a later commit exists or it was known to exist"}
		}
		later = slices.ContainsFunc(values, func(b []byte) bool { return b != nil })
		if !later {
			return true, nil
		}
	}
}
