package es

import (
	"encoding/json"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Group is an identity group: entities with keys of type K, to which a batch
// applies a command and over which a query runs. Who is in it is found when it
// is asked for, as of a moment. An entity that did not exist then is in no
// group. The zero Group cannot be used.
type Group[K ~string] struct {
	g *catalog.Group
}

// All is the group of all entities of the type.
func (e *Entity[K]) All() Group[K] { return Group[K]{catalog.All(e.entity)} }

// With is the group of the entities that the classifier includes under these
// parameters; es.None{} for none.
func (c *Classifier[K, P]) With(p P) Group[K] {
	params, err := json.Marshal(p)
	if err != nil {
		return Group[K]{&catalog.Group{Kind: catalog.GroupClassifier, Entity: c.c.Entity, Classifier: c.c, Err: err}}
	}
	return Group[K]{catalog.Classified(c.c, params)}
}

// And is the group of the entities that are in each of the groups, all of which
// are of one type.
func And[K ~string](g Group[K], more ...Group[K]) Group[K] {
	return Group[K]{&catalog.Group{Kind: catalog.GroupAnd, Of: parts(g, more)}}
}

// Or is the group of the entities that are in one of the groups at least.
func Or[K ~string](g Group[K], more ...Group[K]) Group[K] {
	return Group[K]{&catalog.Group{Kind: catalog.GroupOr, Of: parts(g, more)}}
}

// Not is the group of the entities that are surely not in g: one that a
// classifier is undecided about is neither in its group nor in the complement.
func Not[K ~string](g Group[K]) Group[K] {
	return Group[K]{&catalog.Group{Kind: catalog.GroupNot, Of: parts(g, nil)}}
}

func parts[K ~string](g Group[K], more []Group[K]) []*catalog.Group {
	of := []*catalog.Group{g.g}
	for _, m := range more {
		of = append(of, m.g)
	}
	return of
}

// Catalog is the group for Longrun's runtime.
func (g Group[K]) Catalog() *catalog.Group { return g.g }
