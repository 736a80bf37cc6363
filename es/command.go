package es

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Command is something a caller can ask for.
type Command[P any] struct {
	c *catalog.Command
}

// NewCommand defines a command. A command of one Decide is direct: it is decided
// and committed in one turn of the entity. One of more steps, or of another kind
// of step, runs on after it was accepted: its steps are taken in order, each
// result goes to the command's own stream, and if one fails the completed ones
// are undone in reverse. P is a struct; its JSON is what callers send, its tags
// are the schema (json, doc, minimum, maximum, minLength, maxLength, enum,
// format, example; `required:"false"` or omitempty makes a field optional).
func NewCommand[P any](name string, steps ...Step[P]) *Command[P] {
	c := newCommand[P](name)
	for _, s := range steps {
		s.addSteps(&c.Steps, nil)
	}
	for _, s := range c.Steps {
		if s.Result != nil {
			c.Result = s.Result
		}
	}
	return &Command[P]{c}
}

func newCommand[P any](name string) *catalog.Command {
	return &catalog.Command{
		Local:  name,
		Params: reflect.TypeFor[P](),
		Decode: func(params []byte) (any, error) {
			p := new(P)
			return p, decodeStrictly(params, p)
		},
	}
}

// decodeStrictly refuses what v has no field for.
func decodeStrictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
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

// Valid checks what the schema cannot say, before anything is written: an error
// made by Invalid refuses the command.
func (c *Command[P]) Valid(check func(P) error) *Command[P] {
	c.c.Check = func(params any) error { return check(*params.(*P)) }
	return c
}

// Cron starts the command by itself, whenever the expression says: minute, hour,
// day of month, month, day of week, in UTC. Each time runs once, also one that
// passed while nothing was running.
func (c *Command[P]) Cron(expression string, params func(at time.Time) P) *Command[P] {
	c.c.Schedule = scheduleOf(expression, params)
	return c
}

func scheduleOf[P any](expression string, params func(at time.Time) P) *catalog.Schedule {
	return &catalog.Schedule{Cron: expression, Params: func(at time.Time) (json.RawMessage, error) {
		return json.Marshal(params(at))
	}}
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
