package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// maxDepth is how deep the JSON of a request may be nested.
const maxDepth = 64

// parseJSON reads raw as exactly one JSON value: map[string]any, []any, string,
// bool, nil, and json.Number, which keeps a number as it was written. It is
// strict where encoding/json is not: an object's names are unique, text is valid
// UTF-8 without lone surrogates, nothing follows the value. The error is a
// *catalog.Fault.
func parseJSON(raw []byte) (any, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, catalog.Faultf(catalog.Invalid, "there is no JSON: the body is empty")
	}
	p := parser{jsontext.NewDecoder(bytes.NewBuffer(raw))}
	v, err := p.value()
	if err != nil {
		return nil, syntaxFault(err)
	}
	if _, err = p.in.ReadToken(); err == nil {
		return nil, catalog.Faultf(catalog.Invalid, "not JSON: more data follows the value")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxFault(err)
	}
	return v, nil
}

type parser struct {
	in *jsontext.Decoder
}

func (p parser) value() (any, error) {
	t, err := p.in.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return t.String(), nil
	case '0':
		return json.Number(t.String()), nil
	case 't', 'f':
		return t.Bool(), nil
	default:
		return nil, nil
	}
}

func (p parser) object() (any, error) {
	if p.in.StackDepth() > maxDepth {
		return nil, errTooDeep
	}
	object := map[string]any{}
	for p.in.PeekKind() != '}' {
		name, err := p.in.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if object[key], err = p.value(); err != nil {
			return nil, err
		}
	}
	_, err := p.in.ReadToken()
	return object, err
}

func (p parser) array() (any, error) {
	if p.in.StackDepth() > maxDepth {
		return nil, errTooDeep
	}
	array := []any{}
	for p.in.PeekKind() != ']' {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := p.in.ReadToken()
	return array, err
}

var errTooDeep = fmt.Errorf("nested deeper than %d", maxDepth)

// syntaxFault says where JSON is not what parseJSON takes.
func syntaxFault(err error) *catalog.Fault {
	var at *jsontext.SyntacticError
	if !errors.As(err, &at) {
		return catalog.Faultf(catalog.Invalid, "not JSON: %v", err)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalid(dotted(at.JSONPointer), "is given twice")
	}
	return catalog.Faultf(catalog.Invalid, "not JSON: %v, at byte %d", at.Err, at.ByteOffset)
}

// dotted writes a JSON pointer as faults name fields: a.b.0.
func dotted(p jsontext.Pointer) string {
	var parts []string
	for part := range p.Tokens() {
		parts = append(parts, part)
	}
	return strings.Join(parts, ".")
}

// encodeJSON is json.Marshal without escapes for HTML: what callers wrote comes
// back as readable as it was.
func encodeJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
