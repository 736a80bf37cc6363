package app

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// listEntities lists the keys of an entity type.
func (s *Server) listEntities(w http.ResponseWriter, r *request) error {
	cursor, limit := r.query.text("cursor"), r.query.limit()
	if err := r.query.err(); err != nil {
		return err
	}
	if err := s.checkType(r.path("type")); err != nil {
		return err
	}
	system, err := s.runtime()
	if err != nil {
		return err
	}
	keys, next, err := system.Keys(r.Context(), r.path("type"), cursor, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, newPage(keys, next))
}

// project answers with an entity's state in one projection.
func (s *Server) project(w http.ResponseWriter, r *request) error {
	q := r.query
	at := actors.At{
		Time:     q.moment("asOf"),
		Sequence: q.number("sequence", 0, maxSequence),
		Strong:   q.choice("consistency", "strong") != "",
	}
	if q.text("asOf") != "" && q.text("sequence") != "" {
		q.add("sequence", "cannot be given together with asOf")
	}
	if err := q.err(); err != nil {
		return err
	}
	system, id, err := s.entity(r)
	if err != nil {
		return err
	}
	projection := r.path("projection")
	if s.catalog.Projections[id.Type][projection] == nil {
		return catalog.Faultf(catalog.NotFound, "%s has no projection %q", id.Type, projection)
	}
	state, err := system.Project(r.Context(), id, projection, at)
	if err != nil {
		return err
	}
	return writeJSON(w, state)
}

// classify answers with a classifier's verdict on an entity. What the query of
// the URL holds besides asOf are the classifier's parameters.
func (s *Server) classify(w http.ResponseWriter, r *request) error {
	system, id, err := s.entity(r)
	if err != nil {
		return err
	}
	classifier := s.catalog.Classifiers[id.Type][r.path("classifier")]
	if classifier == nil {
		return catalog.Faultf(catalog.NotFound, "%s has no classifier %q", id.Type, r.path("classifier"))
	}
	q, params, err := s.classifierQuery(r, classifier, paramAsOf)
	if err != nil {
		return err
	}
	asOf := q.moment("asOf")
	if err := q.err(); err != nil {
		return err
	}
	verdict, err := system.Classify(r.Context(), id, classifier.Name, params, actors.At{Time: asOf})
	if err != nil {
		return err
	}
	return writeJSON(w, judgement{verdict.Verdict.String(), verdict.Sequence})
}

// classifierQuery reads a URL with the parameters of a classifier beside the
// operation's own, which are for the caller to look at.
func (s *Server) classifierQuery(r *request, c *catalog.Classifier, own ...urlParam) (*urlQuery, json.RawMessage, error) {
	check := s.classifiers[c]
	known := slices.Clone(own)
	for name := range check.object().Properties {
		known = append(known, urlParam{name: name, empty: emptyIsValue})
	}
	q, err := parseQuery(r.URL.RawQuery, known)
	if err != nil {
		return nil, nil, err
	}
	values := maps.Clone(q.values)
	for _, p := range own {
		values.Del(p.name)
	}
	params, err := check.checkTree(urlTree(check, values))
	return q, params, err
}

// urlTree makes of parameters in a URL what parseJSON would have read: text
// where the schema wants text, else JSON.
func urlTree(p *params, values url.Values) map[string]any {
	tree := map[string]any{}
	for name := range values {
		text := values.Get(name)
		tree[name] = text
		if resolved(p.registry, p.object().Properties[name]).Type == huma.TypeString {
			continue
		}
		if v, err := parseJSON([]byte(text)); err == nil {
			tree[name] = v // else the check says what it should have been
		}
	}
	return tree
}

// verify checks an entity's stream from end to end.
func (s *Server) verify(w http.ResponseWriter, r *request) error {
	system, id, err := s.entity(r)
	if err != nil {
		return err
	}
	report, err := system.Verify(r.Context(), id)
	if err != nil {
		return err
	}
	v := verification(report)
	v.Head = max(report.Commits, report.Head) // the stored head may lag behind
	return writeJSON(w, v)
}

// verification is stream.Report on the wire, but for Head.
type verification struct {
	OK      bool   `json:"ok"`
	Commits uint64 `json:"commits" doc:"sound ones, up to the problem if there is one"`
	Events  uint64 `json:"events" doc:"in those"`
	Head    uint64 `json:"head" doc:"the number of the newest commit of the stream"`
	Problem string `json:"problem,omitempty"`
}

// entity checks the entity's type and key in the path.
func (s *Server) entity(r *request) (Runtime, stream.ID, error) {
	id := stream.ID{Type: r.path("type")}
	if err := s.checkType(id.Type); err != nil {
		return nil, id, err
	}
	var err error
	if id.Key, err = pathKey(r, "key"); err != nil {
		return nil, id, err
	}
	system, err := s.runtime()
	return system, id, err
}

func (s *Server) checkType(entityType string) error {
	if s.catalog.Entities[entityType] == nil {
		return catalog.Faultf(catalog.NotFound, "there is no entity type %q", entityType)
	}
	return nil
}
