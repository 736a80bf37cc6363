package es

import (
	"encoding/json"
	"reflect"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Verdict is a classifier's judgement of one entity.
type Verdict = catalog.Verdict

// The verdicts. An undecided entity is in no group and not in its complement.
const (
	Undecided = catalog.Undecided
	Included  = catalog.Included
	Excluded  = catalog.Excluded
)

// If is Included or Excluded.
func If(included bool) Verdict {
	if included {
		return Included
	}
	return Excluded
}

// Classifier judges entities by a view of them, under parameters P (a struct;
// None for none).
type Classifier[K ~string, P any] struct {
	c *catalog.Classifier
}

// NewClassifier defines a classifier. judge is asked only about entities that
// exist.
func NewClassifier[K ~string, P, S any](name string, v View[K, S], judge func(P, S) Verdict) *Classifier[K, P] {
	needs := v.needs()
	return &Classifier[K, P]{&catalog.Classifier{
		Name:   name,
		Entity: needs[0].Entity,
		Params: reflect.TypeFor[P](),
		Needs:  needs,
		Decode: func(params []byte) (any, error) {
			p := new(P)
			return p, json.Unmarshal(params, p)
		},
		Judge: func(r catalog.Reader, params any) Verdict { return judge(*params.(*P), v.read(r)) },
	}}
}

func (c *Classifier[K, P]) addTo(d *catalog.Domain) { d.Classifiers = append(d.Classifiers, c.c) }
