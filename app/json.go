package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// What the JSON of a request may be at most. Small values multiply in memory
// once they are read, and long numbers once they are computed with.
const (
	maxBody     = 1 << 20 // bytes, of a body or of one line of NDJSON
	maxValues   = 100_000 // objects, lists and what is in them
	maxDepth    = 64      // objects and lists inside each other
	maxNumber   = 400     // bytes of a number
	maxExponent = 400     // of a number, and the least is as far from 0
)

// bodyTimeout is how long a client may take to send a body of at most maxBody.
const bodyTimeout = 30 * time.Second

// readBody reads the body of a request, which is JSON whatever its headers say:
// curl -d says that it is a form. A browser that sends from another site was
// refused before.
func readBody(w http.ResponseWriter, r *request) ([]byte, error) {
	tooLarge := catalog.Faultf(catalog.TooLarge, "the body has more than %d bytes", maxBody)
	if r.ContentLength > maxBody {
		return nil, tooLarge // before a client that asks first is told to go on
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has a connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{}) // one that passes while the answer is made cancels the request
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the body cannot be read to its end: %v", err)
	}
	return body, nil
}

// parseJSON reads raw as exactly one JSON value: map[string]any, []any, string,
// bool, nil, and json.Number, which keeps a number as it was written. It is
// strict where encoding/json is not: an object's names are unique, text is valid
// UTF-8 without lone surrogates, nothing follows the value. The error is a
// *catalog.Fault.
func parseJSON(raw []byte) (any, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, catalog.Faultf(catalog.Invalid, "there is no JSON: the body is empty")
	}
	p := parser{in: jsontext.NewDecoder(bytes.NewBuffer(raw))}
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
	in     *jsontext.Decoder
	values int // read so far
}

func (p *parser) value() (any, error) {
	t, err := p.in.ReadToken()
	if err != nil {
		return nil, err
	}
	if p.values++; p.values > maxValues {
		return nil, catalog.Faultf(catalog.TooLarge, "the JSON has more than %d values", maxValues)
	}
	if p.in.StackDepth() > maxDepth {
		return nil, catalog.Faultf(catalog.Invalid, "the JSON is nested deeper than %d", maxDepth)
	}
	switch t.Kind() {
	case '{':
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
	case '[':
		list := []any{}
		for p.in.PeekKind() != ']' {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := p.in.ReadToken()
		return list, err
	case '"':
		return t.String(), nil
	case '0':
		number := t.String()
		if !sensible(number) {
			return nil, invalid(dotted(p.in.StackPointer()), "has too many digits, or too large an exponent")
		}
		return json.Number(number), nil
	case 't', 'f':
		return t.Bool(), nil
	default:
		return nil, nil
	}
}

// sensible says whether a number can be computed with exactly, at little cost.
func sensible(number string) bool {
	e := strings.LastIndexAny(number, "eE")
	if e < 0 {
		return len(number) <= maxNumber
	}
	exponent, err := strconv.Atoi(number[e+1:])
	return err == nil && len(number) <= maxNumber && -maxExponent <= exponent && exponent <= maxExponent
}

// syntaxFault says where JSON is not what parseJSON takes.
func syntaxFault(err error) *catalog.Fault {
	var fault *catalog.Fault
	var at *jsontext.SyntacticError
	switch {
	case errors.As(err, &fault):
		return fault
	case !errors.As(err, &at):
		return catalog.Faultf(catalog.Invalid, "not JSON: %v", err)
	case errors.Is(err, jsontext.ErrDuplicateName):
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
