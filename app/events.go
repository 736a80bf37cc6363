package app

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// event is a stored event on the wire.
type event struct {
	Sequence uint64          `json:"sequence"`
	Name     string          `json:"name"`
	Version  int             `json:"version" doc:"of the event's schema"`
	Data     json.RawMessage `json:"data"`
	Context  eventContext    `json:"context"`
	Commit   eventCommit     `json:"commit"`
}

type eventContext struct {
	Who           string    `json:"who"`
	Source        string    `json:"source"`
	Commentary    string    `json:"commentary"`
	CorrelationID string    `json:"correlationId"`
	CausationID   string    `json:"causationId"`
	Schema        string    `json:"schema" doc:"a fingerprint of the events that the writing release knew"`
	At            time.Time `json:"at" doc:"when it was committed"`
}

type eventCommit struct {
	Number uint64 `json:"number"`
	ID     string `json:"id"`
}

func newEvent(r stream.Recorded) event {
	return event{
		Sequence: r.Sequence,
		Name:     r.Event.Name,
		Version:  r.Event.Version,
		Data:     r.Event.Data,
		Context: eventContext{
			Who:           r.Context.Who,
			Source:        r.Context.Source,
			Commentary:    r.Context.Commentary,
			CorrelationID: r.Context.CorrelationID,
			CausationID:   r.Context.CausationID,
			Schema:        r.Context.Schema,
			At:            r.At.UTC(),
		},
		Commit: eventCommit{r.Commit, hex.EncodeToString(r.CommitID[:])},
	}
}

// eventPage is one page of a stream.
type eventPage struct {
	Items []event `json:"items"`
	Next  uint64  `json:"next,omitempty" doc:"the from of the next page; absent if there is no more now"`
}

// entityEvents answers with the stream of an entity.
func (s *Server) entityEvents(w http.ResponseWriter, r *request) error {
	system, id, err := s.entity(r)
	if err != nil {
		return err
	}
	return s.events(w, r, system, id)
}

// commandEvents answers with the stream of a recorded command.
func (s *Server) commandEvents(w http.ResponseWriter, r *request) error {
	system, id, err := s.commandID(r)
	if err != nil {
		return err
	}
	// The stream goes by the id alone; that it is this command's, Progress knows.
	if _, err := system.Progress(r.Context(), r.path("command"), id, nil); err != nil {
		return err
	}
	return s.events(w, r, system, stream.ID{Type: flow.CommandType, Key: id})
}

func (s *Server) events(w http.ResponseWriter, r *request, system Runtime, id stream.ID) error {
	from, limit, follow := r.query.from(), r.query.limit(), r.query.flag("follow")
	if err := r.query.err(); err != nil {
		return err
	}
	if follow {
		return s.follow(w, r, system, id, from)
	}
	recorded, next, err := system.Events(r.Context(), id, from, limit)
	if err != nil {
		return err
	}
	answer := eventPage{Items: make([]event, len(recorded)), Next: next}
	for i := range recorded {
		answer.Items[i] = newEvent(recorded[i])
	}
	return writeJSON(w, answer)
}

// following says whether the answer stays open for the events that come. That
// of a HEAD does not: it has no body.
func following(r *request) bool {
	return r.Method != http.MethodHead && r.query.text("follow") == "true"
}
