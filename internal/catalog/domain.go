package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Domain is everything one domain defines.
type Domain struct {
	Name        string
	Own         bool // Longrun's own, under the reserved name
	Entities    []*Entity
	Projections []*Projection
	Classifiers []*Classifier
	Commands    []*Command
}

// Catalog is what one application hosts: all its domains, by full name.
type Catalog struct {
	Entities    map[string]*Entity                // by type, "bank.account"
	Projections map[string]map[string]*Projection // by entity type, by name
	Classifiers map[string]map[string]*Classifier
	Commands    map[string]*Command
}

// Reserved is the domain name of Longrun's own entity types.
const Reserved = "longrun"

// binding guards the full names and indexes that New writes into definitions,
// once: definitions are package variables of a domain, and tests run New at the
// same time.
var binding sync.Mutex

// New puts domains together and checks them whole; every fault comes back at
// once. It may be called again with the same domains.
func New(domains ...*Domain) (*Catalog, error) {
	binding.Lock()
	defer binding.Unlock()
	c := &Catalog{
		Entities:    map[string]*Entity{},
		Projections: map[string]map[string]*Projection{},
		Classifiers: map[string]map[string]*Classifier{},
		Commands:    map[string]*Command{},
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for _, d := range domains {
		if !nameOK(d.Name) {
			fault("domain %q: a name is lower-case letters, digits and dashes", d.Name)
		}
		if d.Name == Reserved && !d.Own {
			fault("domain %q: the name is Longrun's own", d.Name)
		}
		if seen[d.Name] {
			fault("domain %q is given twice", d.Name)
			continue
		}
		seen[d.Name] = true
		c.add(d, fault)
	}
	return c, errors.Join(faults...)
}

func (c *Catalog) add(d *Domain, fault func(string, ...any)) {
	sound := map[*Entity]bool{}
	for _, e := range d.Entities {
		name := d.Name + "." + e.Name
		switch {
		case !nameOK(e.Name):
			fault("entity %q: a name is lower-case letters, digits and dashes", name)
			continue
		case c.Entities[name] != nil:
			fault("entity %q is defined twice", name)
			continue
		case e.Type != "" && e.Type != name:
			fault("entity %q belongs to %q already", name, e.Type)
			continue
		case e.Type == "":
			e.Type = name
			e.index()
		}
		for _, err := range e.faults {
			fault("%w", err)
		}
		sound[e] = true
		c.Entities[name] = e
		c.Projections[name] = map[string]*Projection{}
		c.Classifiers[name] = map[string]*Classifier{}
	}
	known := func(what string, e *Entity) bool {
		if !slices.Contains(d.Entities, e) {
			fault("%s: its entity %q is not in domain %q", what, e.Name, d.Name)
		}
		return sound[e]
	}
	for _, p := range d.Projections {
		what := fmt.Sprintf("projection %q", p.Name)
		if !known(what, p.Entity) {
			continue
		}
		if p.Fingerprint == "" {
			p.bind()
			p.Index = len(p.Entity.Projections)
			p.Entity.Projections = append(p.Entity.Projections, p)
		}
		for _, err := range p.Faults {
			fault("%w", err)
		}
		if _, twice := c.Projections[p.Entity.Type][p.Name]; twice || !nameOK(p.Name) {
			fault("%s of %s: defined twice, or not a name", what, p.Entity.Type)
		}
		c.Projections[p.Entity.Type][p.Name] = p
	}
	needs := func(what string, e *Entity, ps []*Projection) {
		for _, p := range ps {
			switch {
			case p.Entity != e:
				fault("%s: projection %q is of entity %q, not %q", what, p.Name, p.Entity.Name, e.Name)
			case !slices.Contains(d.Projections, p):
				fault("%s: projection %q is not in domain %q", what, p.Name, d.Name)
			}
		}
	}
	for _, k := range d.Classifiers {
		what := fmt.Sprintf("classifier %q", k.Name)
		if !known(what, k.Entity) {
			continue
		}
		if _, twice := c.Classifiers[k.Entity.Type][k.Name]; twice || !nameOK(k.Name) {
			fault("%s of %s: defined twice, or not a name", what, k.Entity.Type)
		}
		needs(what, k.Entity, k.Needs)
		c.Classifiers[k.Entity.Type][k.Name] = k
	}
	for _, k := range d.Commands {
		c.addCommand(d.Name, k, known, needs, fault)
	}
	for _, k := range d.Commands {
		if k.Batch != nil && !slices.Contains(d.Commands, k.Batch.Item) {
			fault("command %q: its item, command %q, is not in domain %q", k.Local, k.Batch.Item.Local, d.Name)
		}
	}
}

// index makes the entity's events findable and fingerprints them. What is wrong
// with them it keeps, for every New to report.
func (e *Entity) index() {
	fault := func(format string, args ...any) { e.faults = append(e.faults, fmt.Errorf(format, args...)) }
	e.byName, e.byGo = map[string]*Event{}, map[reflect.Type]*Event{}
	if len(e.Events) == 0 {
		fault("entity %q has no events", e.Type)
	}
	var all []string
	for i, ev := range e.Events {
		ev.Index = i
		for _, name := range append([]string{ev.Name}, ev.Aliases...) {
			if !nameOK(name) {
				fault("event %q of %q: a name is lower-case letters, digits and dashes", name, e.Type)
			}
			if e.byName[name] != nil {
				fault("event %q of %q is declared twice", name, e.Type)
			}
			e.byName[name] = ev
		}
		if ev.Go == nil {
			all = append(all, fmt.Sprintf("%s/%d", ev.Name, ev.Version))
			continue
		}
		if e.byGo[ev.Go] != nil {
			fault("events %q and %q of %q are one Go type", e.byGo[ev.Go].Name, ev.Name, e.Type)
		}
		e.byGo[ev.Go], e.byGo[reflect.PointerTo(ev.Go)] = ev, ev
		all = append(all, fmt.Sprintf("%s/%d", ev.Name, ev.Version))
	}
	slices.Sort(all)
	e.schema = fingerprint(all...)
}

// bind fingerprints the projection: by its version, what it handles, and all the
// events that this release knows, so that a snapshot never hides from a release
// an event that it does not know.
func (p *Projection) bind() {
	parts := []string{p.Name, fmt.Sprint(p.Version), p.Entity.schema}
	for i, handled := range p.Handles {
		if handled {
			parts = append(parts, fmt.Sprintf("%s/%d", p.Entity.Events[i].Name, p.Entity.Events[i].Version))
		}
	}
	if len(parts) == 3 {
		p.Faults = append(p.Faults, fmt.Errorf("projection %q of %q handles no event", p.Name, p.Entity.Type))
	}
	slices.Sort(parts[3:])
	p.Fingerprint = fingerprint(parts...)
}

func fingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:8])
}

var name = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func nameOK(s string) bool { return len(s) <= 64 && name.MatchString(s) }
