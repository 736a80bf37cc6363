package main

import (
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/stream"
)

// The domain of the load: a counter does as little as an entity can, so that
// what is measured is Longrun and not the domain.
type (
	counterID string

	added struct {
		By int `json:"by"`
	}

	add struct {
		Counter counterID `json:"counter"`
		By      int       `json:"by"`
		Times   int       `json:"times,omitempty"` // events in the append; 1
	}
)

func (added) EventName() string { return "added" }

func (a add) on() counterID { return a.Counter }

var (
	counter = es.NewEntity[counterID]("counter", es.EventOf[added]())

	total = es.NewProjection(counter, "total", es.On(func(n int, e added) int { return n + e.By }))

	recorded   = es.NewCommand("add-recorded", decideAdd())
	unrecorded = es.NewCommand("add-unrecorded", decideAdd()).Unrecorded()
)

func decideAdd() *es.DecideStep[add, int] {
	return es.Decide("add", add.on, total, func(n int, c es.Call[add]) (es.Events, int, error) {
		events := make(es.Events, max(1, c.In.Times))
		for i := range events {
			events[i] = added{c.In.By}
		}
		return events, n + len(events)*c.In.By, nil
	})
}

// The full names of what the load asks for.
const (
	counterType    = "bench.counter"
	addRecorded    = "bench.add-recorded"
	addUnrecorded  = "bench.add-unrecorded"
	totalOfCounter = "total"
)

func domain() es.Domain {
	return es.NewDomain("bench", counter, total, recorded, unrecorded,
		member, setOf, totalOfMember, isInSet, enrol, three, addMember, addMemberUnrecorded, addAll, threeAll)
}

// target is one entity of the load, what is asked of it made beforehand.
type target struct {
	id     stream.ID
	params json.RawMessage
}

// targets makes n counters, to each of which a command adds times events.
func targets(prefix string, n, times int) ([]target, error) {
	all := make([]target, n)
	for i := range all {
		key := fmt.Sprintf("%s-%d", prefix, i)
		params, err := json.Marshal(add{Counter: counterID(key), By: 1, Times: times})
		if err != nil {
			return nil, err
		}
		all[i] = target{stream.ID{Type: counterType, Key: key}, params}
	}
	return all, nil
}

// command is a command for the target under an id of its own.
func (t *target) command(name, id string) actors.Command {
	return actors.Command{Name: name, ID: id, Params: t.params, Context: stream.Context{Source: "bench", CorrelationID: id}}
}
