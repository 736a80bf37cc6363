package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// addCommand checks one command of a domain and takes it in.
func (c *Catalog) addCommand(domain string, k *Command, known func(string, *Entity) bool, needs func(string, *Entity, []*Projection), fault func(string, ...any)) {
	what := fmt.Sprintf("command %q", k.Local)
	if !nameOK(k.Local) {
		fault("%s: a command's name is lower-case letters, digits and dashes", what)
	}
	switch name := domain + "." + k.Local; k.Name {
	case "":
		k.Name = name
	case name:
	default:
		fault("%s belongs to another domain already, as %q", what, k.Name)
	}
	if c.Commands[k.Name] != nil {
		fault("%s is defined twice", what)
	}
	for _, err := range k.Faults {
		fault("%s: %w", what, err)
	}
	if k.Batch == nil && len(k.Steps) == 0 {
		fault("%s has no steps", what)
	}
	if k.Unrecorded && k.Direct() == nil {
		fault("%s: only a command of one decision can be unrecorded", what)
	}
	names := map[string]bool{}
	for _, s := range k.Steps {
		stepNames := []string{s.Name}
		if s.Undo != nil {
			stepNames = append(stepNames, s.Undo.Name)
		}
		for _, name := range stepNames {
			if !nameOK(name) {
				fault("%s: a step's name is lower-case letters, digits and dashes, not %q", what, name)
			}
			if names[name] {
				fault("%s: two steps, or undoings of steps, are named %q", what, name)
			}
			names[name] = true
		}
		for _, d := range s.decisions() {
			if d.MustBeNew && d.MustExist {
				fault("%s: its entity cannot be new and exist", what)
			}
			if known(what, d.Entity) {
				needs(what, d.Entity, d.Needs)
			}
		}
		if s.Look != nil && known(what, s.Look.Entity) {
			needs(what, s.Look.Entity, s.Look.Needs)
		}
		if s.Wait != nil {
			s.Wait.check(k, of(fault, what))
		}
		if s.Choose != nil {
			s.Choose.check(s.Name, of(fault, what))
		}
		if r := s.Retry; r.Attempts < 0 || r.First < 0 || r.Factor < 0 || r.Max < 0 || s.Timeout < 0 {
			fault("%s: step %q is tried again less than never, or after less than no time", what, s.Name)
		}
	}
	c.Commands[k.Name] = k
}

// of makes faults that say what they are about.
func of(fault func(string, ...any), what string) func(string, ...any) {
	return func(format string, args ...any) { fault("%s: "+format, append([]any{what}, args...)...) }
}

func (w *Wait) check(k *Command, fault func(string, ...any)) {
	switch {
	case !nameOK(w.Signal):
		fault("a signal's name is lower-case letters, digits and dashes, not %q", w.Signal)
	case w.Signal == SignalRetryCompensation:
		fault("signal %q is Longrun's own", w.Signal)
	case k.Signal(w.Signal) != w:
		fault("two steps wait for signal %q", w.Signal)
	}
	if _, err := json.Marshal(reflect.Zero(w.Payload).Interface()); err != nil {
		fault("signal %q has a payload that is not JSON: %w", w.Signal, err)
	}
}

func (c *Choose) check(name string, fault func(string, ...any)) {
	if len(c.Ways) == 0 {
		fault("choice %q has no ways", name)
	}
	for i, way := range c.Ways {
		switch {
		case !nameOK(way):
			fault("choice %q has a way %q: a name is lower-case letters, digits and dashes", name, way)
		case slices.Contains(c.Ways[:i], way):
			fault("choice %q has two ways %q", name, way)
		}
	}
}

// SignalRetryCompensation is the signal that every command knows.
const SignalRetryCompensation = "retry-compensation"

// decisions are the step's and that of its undoing.
func (s *Step) decisions() []*Decision {
	var all []*Decision
	if s.Decision != nil {
		all = append(all, s.Decision)
	}
	if s.Undo != nil && s.Undo.Decision != nil {
		all = append(all, s.Undo.Decision)
	}
	return all
}
