package catalog

import (
	"encoding/json"
	"errors"
	"slices"
)

// GroupKind is how a group says who is in it.
type GroupKind int

// The kinds of groups.
const (
	GroupAll        GroupKind = iota // every entity of the type
	GroupClassifier                  // those that a classifier includes
	GroupAnd                         // those that are in every one of some groups
	GroupOr                          // those that are in one of some groups at least
	GroupNot                         // those that are surely not in a group
)

// Group is an identity group: entities of one type, as of any moment. Nothing
// in it changes once it is made.
type Group struct {
	Kind       GroupKind
	Entity     *Entity         // of GroupAll and GroupClassifier
	Classifier *Classifier     // of GroupClassifier
	Params     any             // what Classifier.Decode made of JSON
	JSON       json.RawMessage // the parameters, names sorted and without space
	Of         []*Group        // of GroupAnd, GroupOr; one of GroupNot
	Err        error           // why it cannot be used: a *Fault, or a fault of the author's code
}

// All is the group of all entities of a type.
func All(e *Entity) *Group { return &Group{Kind: GroupAll, Entity: e} }

// Classified is the group of those whom a classifier includes. params is the
// JSON of its parameters, {} for none.
func Classified(c *Classifier, params json.RawMessage) *Group {
	g := &Group{Kind: GroupClassifier, Entity: c.Entity, Classifier: c}
	if g.JSON, g.Err = canonicalJSON(params); g.Err == nil {
		g.Params, g.Err = decodeParams(c, g.JSON)
	}
	return g
}

func decodeParams(c *Classifier, params []byte) (decoded any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Faultf(Internal, "decoding the parameters of %s panicked: %v", c.Name, p)
		}
	}()
	decoded, err = c.Decode(params)
	if err != nil {
		err = Faultf(Invalid, "parameters of %s: %v", c.Name, err)
	}
	return decoded, err
}

// Check says whether the group can be resolved here: a *Fault if it cannot.
func (c *Catalog) Check(g *Group) error {
	e, err := c.check(g, nil)
	if err == nil && e == nil {
		err = Faultf(Internal, "a group of nothing")
	}
	return err
}

// check returns the type of the entities in g; before is that of the groups
// beside it.
func (c *Catalog) check(g *Group, before *Entity) (*Entity, error) {
	if g == nil {
		return before, Faultf(Internal, "a group that was never made")
	}
	if g.Err != nil {
		return before, asFault(g.Err)
	}
	e := g.Entity
	if e != nil {
		switch {
		case c.Entities[e.Type] != e:
			return before, Faultf(Internal, "entity %q of a group is not hosted here", e.Name)
		case g.Classifier != nil && c.Classifiers[e.Type][g.Classifier.Name] != g.Classifier:
			return before, Faultf(Internal, "classifier %q of a group is not in the domain of %s", g.Classifier.Name, e.Type)
		case before != nil && before != e:
			return before, Faultf(Internal, "a group of entities of two types, %s and %s", before.Type, e.Type)
		}
		return e, nil
	}
	for _, part := range g.Of {
		var err error
		if before, err = c.check(part, before); err != nil {
			return before, err
		}
	}
	return before, nil
}

func asFault(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return Faultf(Internal, "%v", err)
}

// EntityOf is the type of the entities in a group that Check found sound.
func (g *Group) EntityOf() *Entity {
	for g.Entity == nil {
		g = g.Of[0]
	}
	return g.Entity
}

// Needs are the projections by which the group is judged, each once.
func (g *Group) Needs() []*Projection {
	if g.Classifier != nil {
		return g.Classifier.Needs
	}
	var needs []*Projection
	for _, part := range g.Of {
		for _, p := range part.Needs() {
			if !slices.Contains(needs, p) {
				needs = append(needs, p)
			}
		}
	}
	return needs
}

// Verdict is the group's verdict on an entity that exists, from those of its
// classifiers. An undecided classifier leaves a group undecided, and its
// complement too, unless the rest decides alone: one that excludes is enough
// for `and`, one that includes for `or`. What cannot change the verdict any
// more is not asked, from left to right. An error of judge ends it.
func (g *Group) Verdict(judge func(c *Classifier, params any) (Verdict, error)) (Verdict, error) {
	switch g.Kind {
	case GroupAll:
		return Included, nil
	case GroupClassifier:
		return judge(g.Classifier, g.Params)
	case GroupNot:
		v, err := g.Of[0].Verdict(judge)
		return v.not(), err
	}
	decides := Excluded // alone
	if g.Kind == GroupOr {
		decides = Included
	}
	verdict := decides.not()
	for _, part := range g.Of {
		v, err := part.Verdict(judge)
		if err != nil || v == decides {
			return v, err
		}
		if v == Undecided {
			verdict = Undecided
		}
	}
	return verdict, nil
}

func (v Verdict) not() Verdict {
	switch v {
	case Included:
		return Excluded
	case Excluded:
		return Included
	default:
		return Undecided
	}
}
