package actors

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"strconv"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// shards is how many index streams an entity type has. It is part of where keys
// are looked for, so it never changes.
const shards = 16

const (
	indexType       = "longrun.index"
	registeredEvent = "registered"
	registerCommand = "longrun.register"
)

// registered is the index's one event: the key of an entity whose first commit
// may follow. An entity is registered before it exists, so none is ever missing;
// a key without a stream is of a crash between the two, and is passed over.
type registered struct {
	Key string `json:"key"`
}

// register is the parameters of the index's one command.
type register struct {
	Shard string `json:"shard"`
	Key   string `json:"key"`
}

// shardOf is the index stream that holds the key of an entity.
func shardOf(id stream.ID) stream.ID {
	h := fnv.New32a()
	h.Write([]byte(id.Key))
	return indexShard(id.Type, int(h.Sum32()%shards))
}

func indexShard(entityType string, shard int) stream.ID {
	return stream.ID{Type: indexType, Key: entityType + "/" + strconv.Itoa(shard)}
}

// indexDomain defines the index as an entity like any other, so that it is
// opened, coalesced, committed and snapshotted by the same code.
func indexDomain() *catalog.Domain {
	event := &catalog.Event{
		Name: registeredEvent, Version: 1, Go: reflect.TypeFor[registered](),
		Decode: func(version int, data []byte) (any, error) {
			e := new(registered)
			if version != 1 {
				return nil, fmt.Errorf("event registered has version %d, this release knows 1", version)
			}
			return e, json.Unmarshal(data, e)
		},
	}
	entity := &catalog.Entity{Name: "index", Events: []*catalog.Event{event}}
	keys := &catalog.Projection{
		Name: "keys", Entity: entity, Version: 1, State: reflect.TypeFor[[]string](), Handles: []bool{true},
		New: func() catalog.Fold { return keySet{} },
	}
	command := &catalog.Command{
		Local: "register", Params: reflect.TypeFor[register](), Unrecorded: true,
		Decode: func(params []byte) (any, error) {
			p := new(register)
			return p, json.Unmarshal(params, p)
		},
		Decision: catalog.Decision{
			Step: "register", Entity: entity, Needs: []*catalog.Projection{keys}, Result: reflect.TypeFor[struct{}](),
			Key: func(params any) string { return params.(*register).Shard },
			Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
				key := c.Params.(*register).Key
				if _, there := r.Now(keys).(keySet)[key]; there {
					return catalog.Outcome{}, nil
				}
				return catalog.Outcome{Events: []any{registered{key}}}, nil
			},
		},
	}
	return &catalog.Domain{
		Name: catalog.Reserved, Own: true,
		Entities:    []*catalog.Entity{entity},
		Projections: []*catalog.Projection{keys},
		Commands:    []*catalog.Command{command},
	}
}

// keySet folds a shard of the index.
type keySet map[string]struct{}

func (s keySet) Apply(_ int, event any, _ *catalog.Meta) { s[event.(*registered).Key] = struct{}{} }

func (s keySet) Marshal() (json.RawMessage, error) { return json.Marshal(map[string]struct{}(s)) }

func (s keySet) Unmarshal(state []byte) error {
	clear(s)
	return json.Unmarshal(state, (*map[string]struct{})(&s))
}
