package catalog

import (
	"fmt"
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
			switch {
			case !nameOK(s.Wait.Signal):
				fault("%s: a signal's name is lower-case letters, digits and dashes, not %q", what, s.Wait.Signal)
			case s.Wait.Signal == SignalRetryCompensation:
				fault("%s: signal %q is Longrun's own", what, s.Wait.Signal)
			case k.Signal(s.Wait.Signal) != s.Wait:
				fault("%s: two steps wait for signal %q", what, s.Wait.Signal)
			}
		}
		if s.Choose != nil && len(slices.Compact(slices.Sorted(slices.Values(s.Choose.Ways)))) != len(s.Choose.Ways) {
			fault("%s: two ways of choice %q have one name", what, s.Name)
		}
	}
	c.Commands[k.Name] = k
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
