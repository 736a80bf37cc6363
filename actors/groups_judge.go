package actors

import (
	"context"
	"slices"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// judged is what a group says of one entity. One that does not exist is
// undecided.
type judged struct {
	verdict  catalog.Verdict
	sequence uint64
	fault    *catalog.Fault
}

// candidate is an entity while it is judged.
type candidate struct {
	*folded
	out     *judged
	opening *stream.Opening // nil if its stream need not be read
	call    call
}

// judgeChunk judges the entities of some keys, reading their streams together.
// Its error is the store's.
func (s *System) judgeChunk(ctx context.Context, g *catalog.Group, asOf time.Time, keys []registration, out []judged) error {
	def, needs := g.EntityOf(), g.Needs()
	all := make([]*candidate, len(keys))
	var openings []*stream.Opening
	for i, k := range keys {
		c := &candidate{folded: s.groups.folded(stream.ID{Type: def.Type, Key: k.key}, def, needs, asOf), out: &out[i]}
		if !c.standsAt(asOf) {
			c.opening = s.openingOf(c.folded, def, asOf)
			openings = append(openings, c.opening)
		}
		all[i] = c
	}
	if err := s.reader.OpenAll(ctx, openings); err != nil {
		return err
	}
	there := all[:0:0]
	for _, c := range all {
		if o := c.opening; o != nil {
			if o.Err != nil {
				c.out.fault = faultOf(o.Err)
				continue
			}
			c.tail, c.next = o.Tail, o.Next
			c.tail.Head = nil // not kept in memory
		}
		switch {
		case c.tail.Last == 0: // it did not exist
		case c.unknown != "" && len(needs) > 0:
			c.out.fault = catalog.Faultf(catalog.Unavailable, "%s holds %s, which this release does not know", c.id, c.unknown)
		default:
			there = append(there, c)
		}
	}
	err := s.judgeAll(ctx, g, def, there)
	for _, c := range all {
		if c.opening == nil || c.opening.Err == nil {
			s.groups.keep(c.folded)
		}
	}
	return err
}

// openingOf reads on from where f stands.
func (s *System) openingOf(f *folded, def *catalog.Entity, asOf time.Time) *stream.Opening {
	return &stream.Opening{
		ID: f.id, After: f.tail, Until: asOf,
		Resume: func(h *stream.Head) bool {
			wanted := f.wanted(def)
			from := &folded{folds: restored(def, h, wanted)}
			if !from.has(wanted) {
				return false
			}
			f.folds = from.folds
			return true
		},
		Use: func(raw stream.Raw) error {
			unknown, err := s.apply(def, &raw.Commit, f.folds)
			if unknown != "" {
				f.unknown = unknown
			}
			return err
		},
	}
}

// judgeAll judges entities that exist. What their classifiers ask of the past is
// read for all of them together, until none asks for more.
func (s *System) judgeAll(ctx context.Context, g *catalog.Group, def *catalog.Entity, all []*candidate) error {
	failures := 0
	for len(all) > 0 {
		var again []*candidate
		for _, c := range all {
			verdict, err := g.Verdict(func(k *catalog.Classifier, params any) (catalog.Verdict, error) {
				return verdictAt(k, params, c.folds, c.tail.At, &c.call)
			})
			if len(c.call.missing) > 0 {
				again = append(again, c)
				continue
			}
			if err != nil {
				if failures++; failures == 1 { // a classifier that fails for one may fail for all
					s.log.Error("a classifier of a group failed", "stream", c.id, "error", err)
				}
				c.out.fault = catalog.Faultf(catalog.Internal, "%s: a classifier of the group failed", c.id)
				continue
			}
			c.out.verdict, c.out.sequence = verdict, c.tail.Last
		}
		if err := s.loadPasts(ctx, def, again); err != nil {
			return err
		}
		all = slices.DeleteFunc(again, func(c *candidate) bool { return c.out.fault != nil })
	}
	return nil
}

// loadPasts is loadPast for many entities.
func (s *System) loadPasts(ctx context.Context, def *catalog.Entity, all []*candidate) error {
	type loading struct {
		of      *candidate
		key     pastKey
		folded  *folded
		opening *stream.Opening
	}
	var pasts []loading
	var openings []*stream.Opening
	for _, c := range all {
		if c.call.past == nil {
			c.call.past = map[pastKey]catalog.Fold{}
		}
		for _, m := range c.call.missing {
			past := &folded{id: c.id, folds: make([]catalog.Fold, len(def.Projections))}
			past.folds[m.p.Index] = m.p.New()
			pasts = append(pasts, loading{c, m, past, s.openingOf(past, def, m.at)})
			openings = append(openings, pasts[len(pasts)-1].opening)
		}
		c.call.missing = nil
	}
	if err := s.reader.OpenAll(ctx, openings); err != nil {
		return err
	}
	for _, l := range pasts {
		l.of.call.past[l.key] = l.folded.folds[l.key.p.Index]
		if l.opening.Err != nil {
			l.of.out.fault = faultOf(l.opening.Err)
		}
	}
	return nil
}
