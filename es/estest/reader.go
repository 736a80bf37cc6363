package estest

import (
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// reader folds the stream anew for every question. It loads the past as the
// runtime does: only after a first run has asked for it.
type reader struct {
	stream *Stream
	loaded map[moment]bool
	missed bool
}

type moment struct {
	projection *catalog.Projection
	at         time.Time
}

// read runs what reads, again for as long as it asked for a past that was not
// loaded: what was found out without it does not count.
func (s *Stream) read(run func(catalog.Reader)) {
	r := &reader{stream: s, loaded: map[moment]bool{}}
	for again := true; again; again = r.missed {
		r.missed = false
		run(r)
	}
}

func (r *reader) Now(p *catalog.Projection) catalog.Fold {
	return fold(p, r.stream.log)
}

func (r *reader) Past(p *catalog.Projection, at time.Time) catalog.Fold {
	if asked := (moment{p, at.UTC()}); !r.loaded[asked] {
		r.loaded[asked], r.missed = true, true
		return p.New()
	}
	return fold(p, asOf(r.stream.log, at))
}

// asOf is what had happened at a moment, inclusive.
func asOf(log []recorded, at time.Time) []recorded {
	n := 0
	for n < len(log) && !log[n].meta.At.After(at) {
		n++
	}
	return log[:n]
}

func fold(p *catalog.Projection, log []recorded) catalog.Fold {
	f := p.New()
	apply(f, log)
	return f
}

func apply(f catalog.Fold, log []recorded) {
	for i := range log {
		f.Apply(log[i].kind.Index, log[i].value, &log[i].meta)
	}
}
