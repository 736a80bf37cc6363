package es

import "github.com/longrun-dev/longrun/internal/catalog"

// Entity is a type of entity whose keys are of type K. A key is 1 to 512 bytes
// of UTF-8 without control characters.
type Entity[K ~string] struct {
	entity *catalog.Entity
}

// NewEntity defines an entity type by its name and the events of its streams.
func NewEntity[K ~string](name string, events ...EventDef) *Entity[K] {
	e := &catalog.Entity{Name: name}
	for _, d := range events {
		e.Events = append(e.Events, d.event)
	}
	return &Entity[K]{entity: e}
}

func (e *Entity[K]) addTo(d *catalog.Domain) { d.Entities = append(d.Entities, e.entity) }
