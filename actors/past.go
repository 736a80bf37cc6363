package actors

import (
	"context"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// turnReader gives a decision the folds of its turn.
type turnReader struct {
	folds []catalog.Fold
	tail  time.Time // of the last commit
	born  time.Time // of the first; zero if that is not known
	now   time.Time // from when on the folds are the past too: tail, or the turn's time once it has appends
	call  *call
}

func (r *turnReader) Now(p *catalog.Projection) catalog.Fold { return r.folds[p.Index] }

// Past answers from memory what is not before the last commit. What is, never
// changes any more: it is loaded between turns, and kept with the call. A moment
// between the last commit and this turn's appends is asked for again in a turn
// of its own, when these are committed.
func (r *turnReader) Past(p *catalog.Projection, at time.Time) catalog.Fold {
	if !at.Before(r.now) {
		return r.folds[p.Index]
	}
	if at.Before(r.born) { // the entity did not exist
		return p.New()
	}
	key := pastKey{p, at.UTC()}
	if f := r.call.past[key]; f != nil && at.Before(r.tail) {
		return f
	}
	r.call.missing = append(r.call.missing, key)
	return p.New()
}

// loadPast folds what a decision asked for and did not have. It holds no turn.
func (s *System) loadPast(ctx context.Context, id stream.ID, def *catalog.Entity, k *call) error {
	if k.past == nil {
		k.past = map[pastKey]catalog.Fold{}
	}
	for _, m := range k.missing {
		folds, _, err := s.foldAt(ctx, id, def, []*catalog.Projection{m.p}, At{Time: &m.at})
		if err != nil {
			return err
		}
		k.past[m] = folds[m.p.Index]
	}
	k.missing = nil
	return nil
}

// point is where in a stream a fold stands.
type point struct {
	sequence uint64
	at       time.Time // of the commit; zero before the first
}

// foldAt folds projections of one entity from the store, as of a moment or a
// sequence, or all there is. The folds stand at their Projection.Index.
func (s *System) foldAt(ctx context.Context, id stream.ID, def *catalog.Entity, ps []*catalog.Projection, at At) ([]catalog.Fold, point, error) {
	folds := make([]catalog.Fold, len(def.Projections))
	for _, p := range ps {
		folds[p.Index] = p.New()
	}
	upTo := ^uint64(0)
	if at.Sequence != nil {
		upTo = *at.Sequence
	}
	var where point
	for raw, err := range s.reader.Commits(ctx, id, 1, 0) {
		if err != nil {
			return nil, where, err
		}
		c := &raw.Commit
		if c.First > upTo || at.Time != nil && c.At.After(*at.Time) {
			break
		}
		if _, err := s.applyUpTo(def, c, folds, upTo); err != nil {
			return nil, where, err
		}
		where = point{min(c.Last(), upTo), c.At}
	}
	return folds, where, nil
}
