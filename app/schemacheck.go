package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// compileSchema compiles a schema exactly as the OpenAPI document shows it: JSON
// Schema 2020-12, formats and base64 asserted.
func compileSchema(r huma.Registry, s *huma.Schema) (*jsonschema.Schema, error) {
	raw, err := json.Marshal(map[string]any{
		"parameters": s,
		"components": map[string]any{"schemas": r.Map()}, // where references lead
	})
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	for name, read := range goFormats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
			if text, ok := v.(string); ok {
				return read(text)
			}
			return nil
		}})
	}
	const url = "urn:longrun:parameters"
	if err := c.AddResource(url, document); err != nil {
		return nil, err
	}
	return c.Compile(url + cmp.Or(s.Ref, "#/parameters"))
}

// goFormats are those that mean what Go reads, as huma says, and not what JSON
// Schema says: a duration is 1m30s, a time needs no zone, leap seconds are not
// known.
var goFormats = map[string]func(string) error{
	"date-time": func(v string) error { _, err := time.Parse(time.RFC3339, v); return err },
	"duration":  func(v string) error { _, err := time.ParseDuration(v); return err },
	"ip":        func(v string) error { _, err := netip.ParseAddr(v); return err },
	"time": func(v string) error {
		_, err := time.Parse(time.TimeOnly, v)
		if err != nil {
			_, err = time.Parse("15:04:05Z07:00", v)
		}
		return err
	},
}

// decimal writes a bound, which the schema has as a float64.
func decimal(bound *big.Rat) string {
	f, _ := bound.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// schemaFaults names every field of v that the schema refused.
func schemaFaults(v any, err error) error {
	var refused *jsonschema.ValidationError
	if !errors.As(err, &refused) {
		return err
	}
	var f faults
	f.addRefused(v, refused)
	return f.err()
}

func (f *faults) addRefused(v any, refused *jsonschema.ValidationError) {
	for _, cause := range refused.Causes {
		f.addRefused(v, cause)
	}
	if len(refused.Causes) > 0 {
		return
	}
	at := fieldPath(v, refused.InstanceLocation)
	switch k := refused.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			f.add(join(at, name), "is missing")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			f.add(join(at, name), "is not a field here")
		}
	default:
		f.add(at, "%s", refusal(k))
	}
}

// fieldPath writes where something is in v as faults name fields: a.b[0].c.
func fieldPath(v any, tokens []string) string {
	path := ""
	for _, token := range tokens {
		switch in := v.(type) {
		case []any:
			i, _ := strconv.Atoi(token)
			path, v = path+"["+token+"]", in[i]
		case map[string]any:
			path, v = join(path, token), in[token]
		}
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var english = message.NewPrinter(language.English)

// refusal says what was expected. It never repeats what was sent, which can be
// long.
func refusal(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		if k.Got == "null" {
			return "must not be null"
		}
		return "expected " + strings.Join(k.Want, " or ")
	case *kind.Format:
		return "expected a valid " + k.Want
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(k.Want)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %s, has %d", plural(k.Want, "character"), k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %s, has %d", plural(k.Want, "character"), k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %s, has %d", plural(k.Want, "item"), k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %s, has %d", plural(k.Want, "item"), k.Got)
	}
	return k.LocalizedString(english)
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
