package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// params checks the parameters of one command or classifier, or the payload of a
// signal, against the JSON schema of their Go type. Every edge (HTTP, NDJSON,
// pub/sub) lets parameters in through one. Safe for concurrent use.
type params struct {
	schema   *huma.Schema // of an object, unless it is a payload's
	registry huma.Registry
	compiled *jsonschema.Schema // the same, to check against
	payload  bool               // of a signal
	none     bool               // the Go type holds nothing
	decode   func([]byte) (any, error)
	valid    func(any) error  // what the schema cannot say; nil if nothing
	key      func(any) string // of the entity; nil if there is not one
}

// commandParams makes the params of a command.
func commandParams(r huma.Registry, c *catalog.Command) (*params, error) {
	var key func(any) string
	if d := c.Direct(); d != nil {
		key = d.Key
	}
	p, err := newParams(r, c.Params, c.Decode)
	if err != nil {
		return nil, err
	}
	p.valid, p.key = c.Check, key
	err = p.mustBeObject(c.Params)
	return p, err
}

// classifierParams makes the params of a classifier.
func classifierParams(r huma.Registry, c *catalog.Classifier) (*params, error) {
	p, err := newParams(r, c.Params, c.Decode)
	if err != nil {
		return nil, err
	}
	err = p.mustBeObject(c.Params)
	return p, err
}

// payloadParams makes the params of a signal.
func payloadParams(r huma.Registry, w *catalog.Wait) (*params, error) {
	p, err := newParams(r, w.Payload, func(payload []byte) (any, error) { return nil, w.Decode(payload) })
	if err != nil {
		return nil, err
	}
	p.payload, p.none = true, w.Payload.Size() == 0
	return p, nil
}

func newParams(r huma.Registry, t reflect.Type, decode func([]byte) (any, error)) (*params, error) {
	s, err := schemaOf(r, t)
	if err != nil {
		return nil, err
	}
	p := &params{schema: s, registry: r, decode: decode}
	if p.compiled, err = compileSchema(r, s); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return p, nil
}

func (p *params) mustBeObject(t reflect.Type) error {
	if p.object().Type != huma.TypeObject {
		return fmt.Errorf("%s is not a struct, as parameters are", t)
	}
	return nil
}

// object is the schema itself, where schema may be a reference to it.
func (p *params) object() *huma.Schema { return resolved(p.registry, p.schema) }

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
	object, ok := tree.(map[string]any)
	if !ok && !p.payload {
		return nil, catalog.Faultf(catalog.Invalid, "the parameters must be a JSON object")
	}
	tree = p.rewriteNumbers(p.schema, tree)
	if err := p.compiled.Validate(tree); err != nil {
		return nil, schemaFaults(tree, err)
	}
	canonical, err := encodeJSON(tree)
	if err != nil {
		return nil, err
	}
	key, err := p.read(canonical)
	if err != nil {
		return nil, err
	}
	if p.key != nil {
		if err := stream.CheckKey(key); err != nil {
			return nil, invalid(fieldOf(object, key), err.Error())
		}
	}
	return canonical, nil
}

// rewriteNumbers writes every number under v in one way, where the schema says
// of which kind it is: 5.0 and 5e0 are 5. What is not of its kind stays as it
// was, for the check to refuse, and so does any JSON that has no schema.
func (p *params) rewriteNumbers(s *huma.Schema, v any) any {
	s = resolved(p.registry, s)
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			property := s.Properties[name]
			if property == nil {
				property, _ = s.AdditionalProperties.(*huma.Schema)
			}
			v[name] = p.rewriteNumbers(property, inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = p.rewriteNumbers(s.Items, inner)
		}
	case json.Number:
		switch s.Type {
		case huma.TypeInteger:
			return wholeNumber(v)
		case huma.TypeNumber:
			if f, err := v.Float64(); err == nil {
				return f
			}
		}
	}
	return v
}

// wholeNumber writes a number without point and exponent, exactly. One that has
// a fraction, or more than 64 bits, stays as it was.
func wholeNumber(n json.Number) json.Number {
	if !strings.ContainsAny(string(n), ".eE") && n != "-0" {
		return n
	}
	if r, ok := new(big.Rat).SetString(string(n)); ok && r.IsInt() && r.Num().BitLen() <= 64 {
		return json.Number(r.Num().String())
	}
	return n
}

// read runs the author's code over what keeps to the schema: what does not fit
// the Go type comes out here, and what the author finds invalid. A panic is a
// fault of the code. It answers with the key of the entity, if there is one.
func (p *params) read(canonical []byte) (key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("checking parameters panicked: %v", v)
		}
	}()
	in, err := p.decode(canonical)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		return "", invalid(mismatch.Field, mismatch.Value+" does not fit")
	case err != nil:
		return "", catalog.Faultf(catalog.Invalid, "the %s cannot be read: %v", p.what(), err)
	}
	if p.valid != nil {
		if err := p.valid(in); err != nil {
			return "", refused(err)
		}
	}
	if p.key == nil {
		return "", nil
	}
	return p.key(in), nil
}

// refused makes an author's no to parameters invalid, whichever way it was said.
// Any other error is a fault of the code.
func refused(err error) error {
	var f *catalog.Fault
	if !errors.As(err, &f) || f.Code == catalog.Internal {
		return fmt.Errorf("checking parameters: %w", err)
	}
	no := *f
	no.Code = catalog.Invalid
	return &no
}

func (p *params) what() string {
	if p.payload {
		return "payload"
	}
	return "parameters"
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
