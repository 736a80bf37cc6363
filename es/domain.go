package es

import "github.com/longrun-dev/longrun/internal/catalog"

// Definition is anything that a domain consists of: an Entity, a Projection, a
// Classifier, a Command, a Batch.
type Definition interface {
	addTo(*catalog.Domain)
}

// Domain is everything one domain defines, as a value.
type Domain struct {
	d *catalog.Domain
}

// NewDomain puts definitions together under a name, which prefixes theirs:
// entity "account" of domain "bank" is "bank.account". What is wrong with them
// is reported at start, all at once.
func NewDomain(name string, definitions ...Definition) Domain {
	d := &catalog.Domain{Name: name}
	for _, def := range definitions {
		def.addTo(d)
	}
	return Domain{d}
}

// Validate checks the domain as the start of an application does, and reports
// every fault in one error.
func (d Domain) Validate() error {
	_, err := catalog.New(d.d)
	return err
}

// Catalog is the domain for Longrun's runtime.
func (d Domain) Catalog() *catalog.Domain { return d.d }
