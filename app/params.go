package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// params checks the parameters of one command or classifier against the JSON
// schema of their Go type. Every edge (HTTP, NDJSON, pub/sub) lets parameters in
// through one. Safe for concurrent use.
type params struct {
	schema   *huma.Schema // of an object
	registry huma.Registry
	decode   func([]byte) (any, error)
	key      func(any) string // of the entity; nil for a classifier
}

// commandParams makes the params of a command.
func commandParams(r huma.Registry, c *catalog.Command) (*params, error) {
	return newParams(r, c.Params, c.Decode, c.Decision.Key)
}

// classifierParams makes the params of a classifier.
func classifierParams(r huma.Registry, c *catalog.Classifier) (*params, error) {
	return newParams(r, c.Params, c.Decode, nil)
}

func newParams(r huma.Registry, t reflect.Type, decode func([]byte) (any, error), key func(any) string) (*params, error) {
	s, err := schemaOf(r, t)
	if err != nil {
		return nil, err
	}
	p := &params{schema: s, registry: r, decode: decode, key: key}
	if p.object().Type != huma.TypeObject {
		return nil, fmt.Errorf("%s is not a struct, as parameters are", t)
	}
	return p, nil
}

// object is the schema itself, where schema may be a reference to it.
func (p *params) object() *huma.Schema {
	if p.schema.Ref != "" {
		return p.registry.SchemaFromRef(p.schema.Ref)
	}
	return p.schema
}

// check reads parameters as a caller sent them and writes them in one canonical
// way: names sorted, no space, whole numbers in digits alone. The same
// parameters give the same bytes however they were written, and integers are
// exact. What does not keep to the schema, or names an entity by a key that
// cannot be one, is a *catalog.Fault with every field that is wrong.
func (p *params) check(raw []byte) (json.RawMessage, error) {
	tree, err := parseJSON(raw)
	if err != nil {
		return nil, err
	}
	return p.checkTree(tree)
}

// checkTree is check for JSON that parseJSON has read.
func (p *params) checkTree(tree any) (json.RawMessage, error) {
	if _, ok := tree.(map[string]any); !ok {
		return nil, catalog.Faultf(catalog.Invalid, "the parameters must be a JSON object")
	}
	c := schemaCheck{registry: p.registry}
	tree = c.value(p.schema, "", tree)
	if err := c.err(); err != nil {
		return nil, err
	}
	canonical, err := encodeJSON(tree)
	if err != nil {
		return nil, err
	}
	key, err := p.keyOf(canonical)
	if err != nil {
		return nil, err
	}
	if p.key != nil {
		if err := stream.CheckKey(key); err != nil {
			return nil, invalid(fieldOf(tree.(map[string]any), key), err.Error())
		}
	}
	return canonical, nil
}

// keyOf runs the author's code over checked parameters: what does not fit the
// Go type comes out here, and a panic is a fault of the code.
func (p *params) keyOf(canonical []byte) (key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("decoding parameters panicked: %v", v)
		}
	}()
	in, err := p.decode(canonical)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		return "", invalid(mismatch.Field, mismatch.Value+" does not fit")
	case err != nil:
		return "", catalog.Faultf(catalog.Invalid, "the parameters cannot be read: %v", err)
	case p.key == nil:
		return "", nil
	}
	return p.key(in), nil
}

// fieldOf names the parameter that holds the key, as far as that can be told.
func fieldOf(object map[string]any, key string) string {
	field := "key"
	for name, v := range object {
		if v != key {
			continue
		}
		if field != "key" {
			return "key" // several do
		}
		field = name
	}
	return field
}
