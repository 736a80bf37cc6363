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
	indexType         = "longrun.index"
	registeredEvent   = "registered"
	registerCommand   = "longrun.register"
	unregisterCommand = "longrun.unregister"
	keysProjection    = "keys"
)

// registered is the index's one event: the key of an entity whose first commit
// may follow. An entity is registered before it exists, so none is ever missing;
// a key without a stream is of a crash between the two, and is passed over.
type registered struct {
	Key string `json:"key"`
}

// unregistered takes a key out again: of a command that has ended. No key of an
// entity ever is.
type unregistered struct {
	Key string `json:"key"`
}

// register is the parameters of the index's commands.
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
	entity := &catalog.Entity{Name: "index", Events: []*catalog.Event{
		indexEvent[registered](registeredEvent), indexEvent[unregistered]("unregistered"),
	}}
	keys := &catalog.Projection{
		Name: keysProjection, Entity: entity, Version: 2, State: reflect.TypeFor[[]string](), Handles: []bool{true, true},
		New: func() catalog.Fold { return keySet{} },
	}
	command := func(name string, decide func(there bool, key string) []any) *catalog.Command {
		return &catalog.Command{
			Local: name, Params: reflect.TypeFor[register](), Unrecorded: true,
			Decode: func(params []byte) (any, error) {
				p := new(register)
				return p, json.Unmarshal(params, p)
			},
			Steps: []*catalog.Step{{Name: name, Decision: &catalog.Decision{
				Step: name, Entity: entity, Needs: []*catalog.Projection{keys}, Result: reflect.TypeFor[struct{}](),
				Key: func(params any) string { return params.(*register).Shard },
				Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
					key := c.Params.(*register).Key
					_, there := r.Now(keys).(keySet)[key]
					return catalog.Outcome{Events: decide(there, key)}, nil
				},
			}}},
		}
	}
	return &catalog.Domain{
		Name: catalog.Reserved, Own: true,
		Entities:    []*catalog.Entity{entity},
		Projections: []*catalog.Projection{keys},
		Commands: []*catalog.Command{
			command("register", func(there bool, key string) []any {
				if there {
					return nil
				}
				return []any{registered{key}}
			}),
			command("unregister", func(there bool, key string) []any {
				if !there {
					return nil
				}
				return []any{unregistered{key}}
			}),
		},
	}
}

func indexEvent[T any](name string) *catalog.Event {
	return &catalog.Event{
		Name: name, Version: 1, Go: reflect.TypeFor[T](),
		Decode: func(version int, data []byte) (any, error) {
			e := new(T)
			if version != 1 {
				return nil, fmt.Errorf("event %s has version %d, this release knows 1", name, version)
			}
			return e, json.Unmarshal(data, e)
		},
	}
}

// keySet folds a shard of the index.
type keySet map[string]struct{}

func (s keySet) Apply(_ int, event any, _ *catalog.Meta) {
	switch e := event.(type) {
	case *registered:
		s[e.Key] = struct{}{}
	case *unregistered:
		delete(s, e.Key)
	}
}

func (s keySet) Marshal() (json.RawMessage, error) { return json.Marshal(map[string]struct{}(s)) }

func (s keySet) Unmarshal(state []byte) error {
	clear(s)
	return json.Unmarshal(state, (*map[string]struct{})(&s))
}
