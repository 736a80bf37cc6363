package catalog

import (
	"context"
	"encoding/json"
	"reflect"
	"time"
)

// Command is something a caller can ask for. It is direct (one decision, in one
// turn of its entity), or takes many steps, or is a batch over a group.
type Command struct {
	Local      string // "deposit-money"
	Name       string // "bank.deposit-money"; set by the domain
	Doc        string
	Params     reflect.Type
	Result     reflect.Type // of the last step that has one
	Decode     func(params []byte) (any, error)
	Check      func(params any) error // what the schema cannot say; nil if nothing
	Unrecorded bool
	Transient  bool    // its answer is not stored: a repeat gets none
	Steps      []*Step // of a batch none
	Batch      *Batch
	Schedule   *Schedule
	Faults     []error // found when it was defined, reported by every New
}

// Direct is the decision of a direct command; nil if it runs on.
func (c *Command) Direct() *Decision {
	if c.Batch == nil && len(c.Steps) == 1 && c.Steps[0].When == nil {
		return c.Steps[0].Decision
	}
	return nil
}

// Step finds a step by its name; nil if there is none.
func (c *Command) Step(name string) *Step {
	for _, s := range c.Steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Decision finds what is decided on an entity under a name: that of a step, or
// of the undoing of one.
func (c *Command) Decision(name string) *Decision {
	for _, s := range c.Steps {
		switch {
		case s.Decision != nil && s.Name == name:
			return s.Decision
		case s.Undo != nil && s.Undo.Decision != nil && s.Undo.Name == name:
			return s.Undo.Decision
		}
	}
	return nil
}

// Signal finds the wait for a signal; nil if the command declares none of the name.
func (c *Command) Signal(name string) *Wait {
	for _, s := range c.Steps {
		if s.Wait != nil && s.Wait.Signal == name {
			return s.Wait
		}
	}
	return nil
}

// Step is one step of a command. Exactly one of Decision, Look, Act, Choose,
// Wait and Delay says what it does.
type Step struct {
	Name     string
	In       []Branch                                                   // only if all these choices fell so
	When     func(c Call) bool                                          // only if it says so; nil is always
	Decision *Decision                                                  // decides on an entity
	Look     *Look                                                      // reads an entity
	Act      func(ctx context.Context, c Call) (json.RawMessage, error) // an effect outside
	Choose   *Choose
	Wait     *Wait
	Delay    func(c Call) time.Duration
	Undo     *Undo
	Retry    Retry
	Timeout  time.Duration // of one try of Act
	Result   reflect.Type  // nil if it has none
}

// Branch is one way a choice can fall.
type Branch struct {
	Choice string
	Way    string
}

// Choose is a step whose result is the way that is taken.
type Choose struct {
	Ways []string
	Pick func(c Call) string
}

// Look reads one entity through its owner.
type Look struct {
	Entity *Entity
	Needs  []*Projection
	Key    func(params any) string
	Read   func(r Reader, c Call) (json.RawMessage, error)
}

// Wait is a step that ends with a signal or at its deadline.
type Wait struct {
	Signal  string
	Payload reflect.Type
	Decode  func(payload []byte) error // says what is wrong with a payload
	Within  func(c Call) time.Duration
	// Signalled and TimedOut are the results.
	Signalled func(payload []byte) (json.RawMessage, error)
	TimedOut  json.RawMessage // nil: the deadline fails the step
}

// Undo makes a completed step undone: by a decision on its entity, or by Act.
type Undo struct {
	Name     string
	Decision *Decision
	Act      func(ctx context.Context, c Call) error
}

// Retry says how often a step is tried that fails for no reason of the domain's:
// a rejection is final at once. The zero value of a field means its default.
type Retry struct {
	Attempts int           // in all; 10
	First    time.Duration // between the first two; 200 ms
	Factor   float64       // each next is so much longer; 2
	Max      time.Duration // and no longer than this; 30 s
}

// Batch is one command for each member of a group.
type Batch struct {
	Item   *Command
	Group  func(c Call) *Group
	Params func(c Call, key string) (json.RawMessage, error) // of the item
}

// Schedule starts a command by itself, at times that a cron expression gives.
type Schedule struct {
	Cron   string // five fields, UTC
	Params func(at time.Time) (json.RawMessage, error)
}

// Decision is a step on one entity.
type Decision struct {
	Step      string
	Entity    *Entity
	Needs     []*Projection
	MustBeNew bool
	MustExist bool
	Result    reflect.Type
	Key       func(params any) string
	Undoes    bool // it makes a step undone: a no of it is tried again
	// Decide answers with the events to append and the result, JSON or nil. The
	// error is a *Fault, or a fault of the author's code.
	Decide func(r Reader, c Call) (Outcome, error)
}

// Outcome is what a decision came to.
type Outcome struct {
	Events []any // values or pointers of the entity's event types
	Result json.RawMessage
}

// Call is what a step is told beside the state.
type Call struct {
	Params        any // what Command.Decode answered
	ID            string
	At            time.Time // of the turn, UTC
	Who           string
	Source        string
	Commentary    string
	CorrelationID string
	CausationID   string

	// Of commands with many steps.
	Results map[string]json.RawMessage // of earlier steps, by name
	Key     string                     // of an Act: the same at every try
}
