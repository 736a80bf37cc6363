package actors

import (
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// apply folds a commit's events into folds, which stand at their
// Projection.Index; nil ones are left out. An event or a version that this
// release does not know is skipped, reported once, and named.
func (s *System) apply(def *catalog.Entity, c *stream.Commit, folds []catalog.Fold) (unknown string, err error) {
	return s.applyUpTo(def, c, folds, c.Last())
}

// applyUpTo is apply for the events up to a sequence. A fold that panics, or data
// that cannot be decoded, is a fault of the domain's code.
func (s *System) applyUpTo(def *catalog.Entity, c *stream.Commit, folds []catalog.Fold, upTo uint64) (unknown string, err error) {
	unknown, err = guard(func() (string, error) { return s.foldUpTo(def, c, folds, upTo) })
	if err != nil {
		s.log.Error("stored events could not be folded", "stream", c.Stream, "commit", c.Number, "error", err)
		err = catalog.Faultf(catalog.Internal, "%s: the events of commit %d could not be folded", c.Stream, c.Number)
	}
	return unknown, err
}

func (s *System) foldUpTo(def *catalog.Entity, c *stream.Commit, folds []catalog.Fold, upTo uint64) (unknown string, err error) {
	sequence := c.First
	for i := range c.Appends {
		a := &c.Appends[i]
		meta := metaOf(c.Stream, a.Context)
		meta.At = c.At
		for k := range a.Events {
			if sequence > upTo {
				return unknown, nil
			}
			meta.Sequence = sequence
			sequence++
			event := &a.Events[k]
			known := def.Event(event.Name)
			if known == nil || event.Version > known.Version {
				unknown = fmt.Sprintf("%s version %d", event.Name, event.Version)
				s.reportUnknown(def.Type, unknown)
				continue
			}
			if err := applyEvent(def, known, event, folds, &meta); err != nil {
				return unknown, fmt.Errorf("sequence %d: %w", meta.Sequence, err)
			}
		}
	}
	return unknown, nil
}

// marshal is the JSON of a fold's state.
func (s *System) marshal(id stream.ID, f catalog.Fold) (json.RawMessage, error) {
	state, err := guard(f.Marshal)
	if err != nil {
		s.log.Error("a state could not be marshalled", "stream", id, "error", err)
		err = catalog.Faultf(catalog.Internal, "%s: the state could not be marshalled", id)
	}
	return state, err
}

// applyEvent decodes a stored event once and folds it where it is handled.
func applyEvent(def *catalog.Entity, known *catalog.Event, event *stream.Event, folds []catalog.Fold, meta *catalog.Meta) error {
	var value any
	for i, f := range folds {
		if f == nil || !def.Projections[i].Handles[known.Index] {
			continue
		}
		if value == nil {
			var err error
			if value, err = known.Decode(event.Version, event.Data); err != nil {
				return err
			}
		}
		f.Apply(known.Index, value, meta)
	}
	return nil
}

// reportUnknown says once per event that a newer release wrote it.
func (s *System) reportUnknown(entityType, event string) {
	if _, said := s.unknown.LoadOrStore(entityType+" "+event, true); !said {
		s.log.Error("a stream holds an event that this release does not know: reads skip it, commands to its entity are refused",
			"entity", entityType, "event", event)
	}
	s.metrics.unknownEvents.Inc()
}

func metaOf(id stream.ID, c stream.Context) catalog.Meta {
	return catalog.Meta{
		Type: id.Type, Key: id.Key, Who: c.Who, Source: c.Source, Commentary: c.Commentary,
		CorrelationID: c.CorrelationID, CausationID: c.CausationID, Schema: c.Schema,
	}
}
