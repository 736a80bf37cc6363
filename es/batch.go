package es

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Batch is one command for each member of a group.
type Batch[P any] struct {
	c *catalog.Command
}

// NewBatch defines a batch with parameters P: over whom it runs, the command that
// each member gets, and that command's parameters. Who is a member is found once,
// as of the batch's start; each item ends for itself, and what fails can be
// repeated.
func NewBatch[P any, K ~string, Q any](name string, over func(Call[P]) Group[K], item *Command[Q], params func(Call[P], K) Q) *Batch[P] {
	c := newCommand[P](name)
	c.Batch = &catalog.Batch{
		Item:  item.c,
		Group: func(c catalog.Call) *catalog.Group { return over(callOf[P](c)).g },
		Params: func(c catalog.Call, key string) (json.RawMessage, error) {
			return json.Marshal(params(callOf[P](c), K(key)))
		},
	}
	return &Batch[P]{c}
}

// Doc says in a sentence or two what the batch does.
func (b *Batch[P]) Doc(text string) *Batch[P] {
	b.c.Doc = text
	return b
}

// Valid checks what the schema cannot say (see Command.Valid).
func (b *Batch[P]) Valid(check func(P) error) *Batch[P] {
	b.c.Check = func(params any) error { return check(*params.(*P)) }
	return b
}

// Cron starts the batch by itself (see Command.Cron).
func (b *Batch[P]) Cron(expression string, params func(at time.Time) P) *Batch[P] {
	b.c.Schedule = scheduleOf(expression, params)
	return b
}

func (b *Batch[P]) addTo(d *catalog.Domain) { d.Commands = append(d.Commands, b.c) }
