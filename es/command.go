package es

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Call is what a decision is told besides the entity's state.
type Call[P any] struct {
	In            P         // the command's parameters
	ID            string    // of the command
	At            time.Time // of the turn, UTC; what is decided is committed at this time or later
	Who           string
	Source        string
	Commentary    string
	CorrelationID string
	CausationID   string
}

// Step is one step of a command with parameters P.
type Step[P any] interface {
	decision() catalog.Decision
	in(P)
}

// DecideStep is a decision on one entity.
type DecideStep[P, R any] struct {
	d catalog.Decision
}

// Decide makes a step: key says which entity, v what is read of it, and decide
// answers with the events to append and a result. No events is a success too.
// An error made by Reject or Invalid is the caller's answer; any other error,
// and a panic, is a fault of this code and appends nothing.
func Decide[P any, K ~string, S, R any](name string, key func(P) K, v View[K, S], decide func(S, Call[P]) (Events, R, error)) *DecideStep[P, R] {
	needs := v.needs()
	return &DecideStep[P, R]{catalog.Decision{
		Step:   name,
		Entity: needs[0].Entity,
		Needs:  needs,
		Result: reflect.TypeFor[R](),
		Key:    func(params any) string { return string(key(*params.(*P))) },
		Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
			events, result, err := decide(v.read(r), Call[P]{
				In: *c.Params.(*P), ID: c.ID, At: c.At, Who: c.Who, Source: c.Source,
				Commentary: c.Commentary, CorrelationID: c.CorrelationID, CausationID: c.CausationID,
			})
			if err != nil {
				return catalog.Outcome{}, err
			}
			var out catalog.Outcome
			for _, e := range events {
				out.Events = append(out.Events, e)
			}
			if _, none := any(result).(None); !none {
				if out.Result, err = json.Marshal(result); err != nil {
					return catalog.Outcome{}, fmt.Errorf("result of %s: %w", name, err)
				}
			}
			return out, nil
		},
	}}
}

// MustBeNew refuses (conflict) an entity that has events already.
func (s *DecideStep[P, R]) MustBeNew() *DecideStep[P, R] {
	s.d.MustBeNew = true
	return s
}

// MustExist refuses (conflict) an entity without events.
func (s *DecideStep[P, R]) MustExist() *DecideStep[P, R] {
	s.d.MustExist = true
	return s
}

func (s *DecideStep[P, R]) decision() catalog.Decision { return s.d }
func (s *DecideStep[P, R]) in(P)                       {}

// Command is something a caller can ask for.
type Command[P any] struct {
	c *catalog.Command
}

// NewCommand defines a command. A command of one decision is direct: it is
// decided and committed in one turn of the entity. P is a struct; its JSON is
// what callers send, its tags are the schema (json, doc, minimum, maximum,
// minLength, maxLength, enum, format, example; `required:"false"` or omitempty
// makes a field optional).
func NewCommand[P any](name string, step Step[P]) *Command[P] {
	c := &catalog.Command{
		Local:    name,
		Params:   reflect.TypeFor[P](),
		Decision: step.decision(),
		Decode: func(params []byte) (any, error) {
			p := new(P)
			d := json.NewDecoder(bytes.NewReader(params))
			d.DisallowUnknownFields()
			return p, d.Decode(p)
		},
	}
	return &Command[P]{c}
}

// Doc says in a sentence or two what the command does; callers read it in the
// API's description.
func (c *Command[P]) Doc(text string) *Command[P] {
	c.c.Doc = text
	return c
}

// Unrecorded gives up the command's own stream: it costs one key less, cannot
// be looked up afterwards, and a repeat of its id is known only while the
// entity remembers it (its last 256 appends).
func (c *Command[P]) Unrecorded() *Command[P] {
	c.c.Unrecorded = true
	return c
}

func (c *Command[P]) addTo(d *catalog.Domain) { d.Commands = append(d.Commands, c.c) }

// Reject is a decision's no. The reason is a stable code that callers branch on,
// e.g. "insufficient-funds"; the rest is for people.
func Reject(reason, format string, args ...any) error {
	return &catalog.Fault{Code: catalog.Rejected, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Invalid says that a parameter cannot be accepted, where its schema cannot.
func Invalid(field, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &catalog.Fault{
		Code: catalog.Invalid, Detail: field + " " + message,
		Fields: []catalog.Field{{Field: field, Message: message}},
	}
}
