package app

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const schemaPrefix = "#/components/schemas/"

// newRegistry makes a registry of JSON schemas in which two Go types of one name
// (of two domains, say) have a schema each: the second is Name2.
func newRegistry() huma.Registry {
	taken := map[string]reflect.Type{}
	return huma.NewMapRegistry(schemaPrefix, func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		base := huma.DefaultSchemaNamer(t, hint)
		name := base
		for n := 2; taken[name] != nil && taken[name] != t; n++ {
			name = base + strconv.Itoa(n)
		}
		taken[name] = t
		return name
	})
}

// schemaOf registers a Go type. A tag that huma cannot read is an error.
func schemaOf(r huma.Registry, t reflect.Type) (s *huma.Schema, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("schema of %s: %v", t, v)
		}
	}()
	s = r.Schema(t, true, t.Name())
	if s == nil {
		return nil, fmt.Errorf("schema of %s: JSON has no such type", t)
	}
	return s, nil
}

var anything huma.Schema

// resolved follows references. Where there is no schema, anything goes.
func resolved(r huma.Registry, s *huma.Schema) *huma.Schema {
	if s == nil {
		return &anything
	}
	for s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	return s
}

// exampleOf makes a value that keeps to a schema: the author's example where
// there is one. Without a schema (any JSON) it is null.
func exampleOf(r huma.Registry, s *huma.Schema) any { return example(r, s, "", 0) }

func example(r huma.Registry, s *huma.Schema, name string, depth int) any {
	s = resolved(r, s)
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		object := map[string]any{}
		for _, property := range s.Required {
			if depth < maxDepth {
				object[property] = example(r, s.Properties[property], property, depth+1)
			}
		}
		return object
	case huma.TypeArray:
		array := []any{}
		for range deref(s.MinItems) {
			array = append(array, example(r, s.Items, name, depth+1))
		}
		return array
	case huma.TypeInteger, huma.TypeNumber:
		return exampleNumber(s)
	case huma.TypeBoolean:
		return true
	case huma.TypeString:
		return exampleString(s, name)
	}
	return nil
}

func exampleNumber(s *huma.Schema) any {
	n := 1.0
	switch {
	case s.Minimum != nil && n < *s.Minimum:
		n = *s.Minimum
	case s.ExclusiveMinimum != nil && n <= *s.ExclusiveMinimum:
		n = *s.ExclusiveMinimum + 1
	case s.Maximum != nil && n > *s.Maximum:
		n = *s.Maximum
	}
	if s.Type == huma.TypeInteger {
		return int64(n)
	}
	return n
}

func exampleString(s *huma.Schema, name string) string {
	switch s.Format {
	case "date":
		return "2026-01-31"
	case "date-time":
		return "2026-01-31T12:00:00Z"
	case "time":
		return "12:00:00"
	case "duration":
		return "1m"
	case "uuid":
		return "0198c9a5-3f2b-7c1d-9a4e-5b6c7d8e9f00"
	case "email":
		return "someone@example.com"
	case "uri":
		return "https://example.com/"
	case "ipv4", "ip":
		return "192.0.2.1"
	}
	if s.ContentEncoding == "base64" {
		return "AQID"
	}
	text := name
	if most := s.MaxLength; most != nil && len(text) > *most {
		text = text[:*most]
	}
	if short := deref(s.MinLength) - len(text); short > 0 {
		text += strings.Repeat("x", short)
	}
	return text
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
