package app

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// schemaCheck walks JSON along a schema and collects what is wrong. Objects,
// arrays, null and whole numbers it judges by itself: huma's validator takes
// names in any case, null for whatever is optional, and numbers as float64. The
// rest is huma's.
type schemaCheck struct {
	faults
	registry huma.Registry
}

// value checks v, which parseJSON read, and returns it with numbers as int64,
// uint64 or float64, whatever the schema says they are.
func (c *schemaCheck) value(s *huma.Schema, path string, v any) any {
	for s.Ref != "" {
		s = c.registry.SchemaFromRef(s.Ref)
	}
	switch x := v.(type) {
	case nil:
		if s.Type != "" && !s.Nullable {
			c.add(path, "must not be null")
		}
		return nil
	case map[string]any:
		if s.Type == huma.TypeObject {
			return c.object(s, path, x)
		}
	case []any:
		if s.Type == huma.TypeArray {
			return c.array(s, path, x)
		}
	case json.Number:
		n, ok := c.number(s, path, x)
		if !ok {
			return nil
		}
		v = n
	}
	c.leaf(s, path, v)
	return v
}

func (c *schemaCheck) object(s *huma.Schema, path string, object map[string]any) any {
	for _, name := range s.Required {
		if _, given := object[name]; !given {
			c.add(join(path, name), "is missing")
		}
	}
	for name, v := range object {
		if property := s.Properties[name]; property != nil {
			object[name] = c.value(property, join(path, name), v)
			continue
		}
		switch more := s.AdditionalProperties.(type) {
		case *huma.Schema:
			object[name] = c.value(more, join(path, name), v)
		case bool:
			if !more {
				c.add(join(path, name), "is not a field here")
			}
		}
	}
	return object
}

func (c *schemaCheck) array(s *huma.Schema, path string, array []any) any {
	for i, v := range array {
		array[i] = c.value(s.Items, path+"["+strconv.Itoa(i)+"]", v)
	}
	shape := *s
	shape.Items = &huma.Schema{} // they are checked
	c.leaf(&shape, path, array)
	return array
}

func (c *schemaCheck) number(s *huma.Schema, path string, literal json.Number) (any, bool) {
	switch s.Type {
	case huma.TypeInteger:
		n, err := wholeNumber(string(literal))
		if err != nil {
			c.add(path, "%v", err)
			return nil, false
		}
		return n, true
	case huma.TypeNumber:
		n, err := literal.Float64()
		if err != nil {
			c.add(path, "is too large a number")
			return nil, false
		}
		return n, true
	}
	return literal, true
}

func (c *schemaCheck) leaf(s *huma.Schema, path string, v any) {
	var found huma.ValidateResult
	huma.Validate(c.registry, s, huma.NewPathBuffer([]byte(path), len(path)), huma.ModeWriteToServer, v, &found)
	for _, err := range found.Errors {
		message := err.Error()
		if detail, ok := err.(huma.ErrorDetailer); ok {
			message = detail.ErrorDetail().Message
		}
		c.add(path, "%s", message)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// wholeNumber reads a JSON number that has no fraction, exactly; also one that
// is written with a point or an exponent, 5.0 or 1e2. The answer is an int64, or
// a uint64 above its range.
func wholeNumber(literal string) (any, error) {
	digits, err := plainDigits(literal)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
		return n, nil
	}
	return nil, errOutOfRange
}

var (
	errOutOfRange = errors.New("is out of range: whole numbers have 64 bits")
	errFraction   = errors.New("expected a whole number")
)

// plainDigits writes a JSON number without point and exponent.
func plainDigits(literal string) (string, error) {
	number, negative := strings.CutPrefix(literal, "-")
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0", nil
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxBody || shift < -maxBody {
			return "", errOutOfRange // more than a body has digits to make up for
		}
	}
	significant := strings.TrimRight(digits, "0")
	switch shift += len(digits) - len(significant) - len(fraction); {
	case shift < 0:
		return "", errFraction
	case len(significant)+shift > 20: // the most that 64 bits take
		return "", errOutOfRange
	}
	digits = significant + strings.Repeat("0", shift)
	if negative {
		digits = "-" + digits
	}
	return digits, nil
}
