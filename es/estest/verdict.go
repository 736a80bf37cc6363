package estest

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Classified is a classifier's view of the entity under test; Classifier makes it.
type Classified struct {
	stream *Stream
	c      *catalog.Classifier
	params any
	log    []recorded
}

// Classifier asks for the verdict on all that happened so far. Its parameters
// reach the classifier through their JSON.
func Classifier[K ~string, P any](s *Stream, c *es.Classifier[K, P], params P) Classified {
	s.t.Helper()
	erased := only(c).Classifiers[0]
	data, err := json.Marshal(params)
	if err != nil {
		s.t.Fatalf("parameters of classifier %q: %v", erased.Name, err)
	}
	decoded, err := erased.Decode(data)
	if err != nil {
		s.t.Fatalf("parameters of classifier %q: %v", erased.Name, err)
	}
	return Classified{s, erased, decoded, s.log}
}

// AsOf asks for the verdict at a moment instead: on what was committed at or
// before it.
func (c Classified) AsOf(at time.Time) Classified {
	c.log = asOf(c.stream.log, at)
	return c
}

// Is expects this verdict. An entity without events is excluded: classifiers
// are not asked about it.
func (c Classified) Is(want es.Verdict) {
	c.stream.t.Helper()
	got := es.Excluded
	if len(c.log) > 0 {
		past := *c.stream
		past.log = c.log
		past.read(func(r catalog.Reader) { got = c.c.Judge(r, c.params) })
	}
	if got != want {
		c.stream.t.Errorf("classifier %q says %s, expected %s", c.c.Name, got, want)
	}
}
