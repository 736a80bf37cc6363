package actors

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// The methods of an entity's actor. A payload and an answer are JSON; an answer
// says in itself what went wrong, so that only faults of the transport surface
// as errors of the call.
const (
	methodDo       = "do"       // []Command in, []reply[Answer] out, in order
	methodProject  = "project"  // readRequest in, reply[State] out
	methodClassify = "classify" // readRequest in, reply[Judgement] out
)

// reply is the envelope of an answer: the fault, or the value. Again says that
// the answer does not fit into this message and is to be fetched by itself: a
// command by its id, a projection from the store.
type reply[T any] struct {
	Fault *catalog.Fault `json:"fault,omitempty"`
	Value T              `json:"value"`
	Again bool           `json:"again,omitempty"`
}

// readRequest asks for a projection or a classifier's verdict now.
type readRequest struct {
	Name   string          `json:"name"`
	Params json.RawMessage `json:"params,omitempty"`
	Strong bool            `json:"strong,omitempty"`
}

// encode is json.Marshal that leaves text as it is. A command's parameters come
// out as they went in, if they are compact: their hash is over their bytes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// actorOf is the actor type and id of an entity.
func actorOf(id stream.ID) (actorType, actorID string) { return id.Type, stream.Escape(id.Key) }

func entityOf(actorType, actorID string) (stream.ID, error) {
	key, err := stream.Unescape(actorID)
	if err != nil {
		return stream.ID{}, fmt.Errorf("actor id %q: %w", actorID, err)
	}
	return stream.ID{Type: actorType, Key: key}, nil
}
