package app

import (
	"net/http"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// listMembers lists the keys of the entities that a classifier includes. What
// the query of the URL holds besides asOf, cursor and limit are the classifier's
// parameters.
func (s *Server) listMembers(w http.ResponseWriter, r *request) error {
	entityType := r.path("type")
	if err := s.checkType(entityType); err != nil {
		return err
	}
	classifier := s.catalog.Classifiers[entityType][r.path("classifier")]
	if classifier == nil {
		return catalog.Faultf(catalog.NotFound, "%s has no classifier %q", entityType, r.path("classifier"))
	}
	q, params, err := s.classifierQuery(r, classifier, paramAsOf, paramCursor, paramLimit)
	if err != nil {
		return err
	}
	asOf, cursor, limit := q.moment("asOf"), q.text("cursor"), q.limit()
	if err := q.err(); err != nil {
		return err
	}
	system, err := s.runtime()
	if err != nil {
		return err
	}
	keys, next, err := system.MemberKeys(r.Context(), catalog.Classified(classifier, params), asOf, cursor, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, newPage(keys, next))
}
