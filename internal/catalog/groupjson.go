package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// groupJSON is a group as it is recorded in streams and shown to people. One
// of its forms is given:
//
//	{"all": "bank.account"}
//	{"entity": "bank.account", "classifier": "balance-below", "parameters": {"threshold": 5}}
//	{"and": [group, …]}, {"or": [group, …]}, {"not": group}
type groupJSON struct {
	All        string          `json:"all,omitempty"`
	Entity     string          `json:"entity,omitempty"`
	Classifier string          `json:"classifier,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	And        []groupJSON     `json:"and,omitempty"`
	Or         []groupJSON     `json:"or,omitempty"`
	Not        *groupJSON      `json:"not,omitempty"`
}

// MarshalJSON writes the group so that Catalog.Group reads it again. A group
// that Check refuses cannot be written.
func (g *Group) MarshalJSON() ([]byte, error) {
	j, err := g.form()
	if err != nil {
		return nil, err
	}
	return encodeJSON(j)
}

func (g *Group) form() (groupJSON, error) {
	switch {
	case g == nil:
		return groupJSON{}, Faultf(Internal, "a group that was never made")
	case g.Err != nil:
		return groupJSON{}, asFault(g.Err)
	}
	parts := make([]groupJSON, len(g.Of))
	for i, part := range g.Of {
		var err error
		if parts[i], err = part.form(); err != nil {
			return groupJSON{}, err
		}
	}
	switch g.Kind {
	case GroupAll:
		return groupJSON{All: g.Entity.Type}, nil
	case GroupClassifier:
		return groupJSON{Entity: g.Entity.Type, Classifier: g.Classifier.Name, Parameters: g.JSON}, nil
	case GroupAnd:
		return groupJSON{And: parts}, nil
	case GroupOr:
		return groupJSON{Or: parts}, nil
	default:
		return groupJSON{Not: &parts[0]}, nil
	}
}

// Group reads a group that was written as JSON. What is wrong with it is a
// *Fault: not-found for a type or a classifier that is not here, invalid for the
// rest.
func (c *Catalog) Group(data []byte) (*Group, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var j groupJSON
	if err := d.Decode(&j); err != nil {
		return nil, Faultf(Invalid, "a group cannot be read: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, Faultf(Invalid, "a group cannot be read: something follows it")
	}
	g, err := c.group(&j)
	if err != nil {
		return nil, err
	}
	if err := c.Check(g); err != nil {
		return nil, err
	}
	return g, nil
}

func (c *Catalog) group(j *groupJSON) (*Group, error) {
	g, forms := &Group{}, 0
	parts := j.And
	if j.All != "" {
		forms++
		if g.Entity = c.Entities[j.All]; g.Entity == nil {
			return nil, Faultf(NotFound, "there is no entity type %q", j.All)
		}
	}
	if j.Entity != "" || j.Classifier != "" || j.Parameters != nil {
		forms++
		var err error
		if g, err = c.Classified(j.Entity, j.Classifier, j.Parameters); err != nil {
			return nil, err
		}
	}
	if len(j.And) > 0 {
		forms++
		g.Kind = GroupAnd
	}
	if len(j.Or) > 0 {
		forms++
		g.Kind, parts = GroupOr, j.Or
	}
	if j.Not != nil {
		forms++
		g.Kind, parts = GroupNot, []groupJSON{*j.Not}
	}
	if forms != 1 {
		return nil, Faultf(Invalid, "a group is all, a classifier of an entity, and, or, not: one of these")
	}
	for i := range parts {
		part, err := c.group(&parts[i])
		if err != nil {
			return nil, err
		}
		g.Of = append(g.Of, part)
	}
	return g, nil
}

// Classified is the group of the entities of a type that a classifier
// includes, both by name. No parameters are {}.
func (c *Catalog) Classified(entityType, classifier string, params json.RawMessage) (*Group, error) {
	if c.Entities[entityType] == nil {
		return nil, Faultf(NotFound, "there is no entity type %q", entityType)
	}
	k := c.Classifiers[entityType][classifier]
	if k == nil {
		return nil, Faultf(NotFound, "%s has no classifier %q", entityType, classifier)
	}
	if params == nil {
		params = json.RawMessage(`{}`)
	}
	g := Classified(k, params)
	return g, c.Check(g)
}

// canonicalJSON writes JSON in one way: names sorted, no space, numbers as they
// are.
func canonicalJSON(raw []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, Faultf(Invalid, "parameters that are not JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, Faultf(Invalid, "parameters that are not JSON: something follows them")
	}
	return encodeJSON(tree)
}

// encodeJSON is json.Marshal that leaves <, > and & as they are.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
