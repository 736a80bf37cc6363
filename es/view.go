package es

import (
	"slices"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// View is what a decision or a classifier reads of one entity: a projection,
// several at one sequence (Join2, Join3), or one in the past (Past).
type View[K ~string, S any] interface {
	needs() []*catalog.Projection
	read(catalog.Reader) S
	key(K)
}

type view[K ~string, S any] struct {
	ps   []*catalog.Projection
	make func(catalog.Reader) S
}

func (v view[K, S]) needs() []*catalog.Projection { return v.ps }
func (v view[K, S]) read(r catalog.Reader) S      { return v.make(r) }
func (v view[K, S]) key(K)                        {}
func union(a, b []*catalog.Projection) []*catalog.Projection {
	out := slices.Clone(a)
	for _, p := range b {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Join2 is two views of one entity at one sequence.
func Join2[K ~string, A, B, S any](a View[K, A], b View[K, B], join func(A, B) S) View[K, S] {
	return view[K, S]{union(a.needs(), b.needs()), func(r catalog.Reader) S { return join(a.read(r), b.read(r)) }}
}

// Join3 is three views of one entity at one sequence.
func Join3[K ~string, A, B, C, S any](a View[K, A], b View[K, B], c View[K, C], join func(A, B, C) S) View[K, S] {
	return view[K, S]{
		union(union(a.needs(), b.needs()), c.needs()),
		func(r catalog.Reader) S { return join(a.read(r), b.read(r), c.read(r)) },
	}
}

// Past is a projection as of any moment up to now: what was committed at or
// before it. The function it gives is valid during the decision only. What it
// needs is loaded before the entity's turn, so that a decision about last year
// does not hold up the entity: the decision may be run again for that.
func Past[K ~string, S any](p *Projection[K, S]) View[K, func(time.Time) S] {
	return view[K, func(time.Time) S]{p.needs(), func(r catalog.Reader) func(time.Time) S {
		return func(at time.Time) S { return r.Past(p.p, at).(*fold[S]).state }
	}}
}
