package app

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// urlParam is a parameter that an operation takes in the URL.
type urlParam struct {
	name   string
	doc    string
	schema huma.Schema
}

// The parameters that several operations take.
var (
	paramLimit  = urlParam{"limit", "how many, 100 if absent", huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0), Maximum: new(1000.0)}}
	paramCursor = urlParam{"cursor", "the last answer's next", huma.Schema{Type: huma.TypeString}}
	paramFrom   = urlParam{"from", "the first sequence, 1 if absent", huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(1.0)}}
	paramFollow = urlParam{"follow", "keeps the answer open as server-sent events", huma.Schema{Type: huma.TypeBoolean}}
	paramAsOf   = urlParam{"asOf", "the state at this time of commit, RFC 3339", huma.Schema{Type: huma.TypeString, Format: "date-time"}}
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// urlQuery reads the parameters in a URL and collects what is wrong with them.
type urlQuery struct {
	faults
	values url.Values
}

// parseQuery reads a raw query. An empty parameter is an absent one. One that is
// not among the known ones is refused: a mistyped asOf must not answer with the
// state of now.
func parseQuery(raw string, known []urlParam) (*urlQuery, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the query of the URL cannot be read: %v", err)
	}
	q := &urlQuery{values: values}
	for name, given := range values {
		given = slices.DeleteFunc(given, func(v string) bool { return v == "" })
		values[name] = given
		switch {
		case len(given) == 0:
			delete(values, name)
		case !slices.ContainsFunc(known, func(p urlParam) bool { return p.name == name }):
			q.add(name, "is not a parameter here")
		case len(given) > 1:
			q.add(name, "is given twice")
		}
	}
	err = q.err()
	return q, err
}

func (q *urlQuery) text(name string) string { return q.values.Get(name) }

// number reads a whole number; absent is nil.
func (q *urlQuery) number(name string, least, most uint64) *uint64 {
	text := q.values.Get(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		q.add(name, "expected a whole number from %d to %d", least, most)
		return nil
	}
	return &n
}

func (q *urlQuery) limit() int {
	if n := q.number("limit", 1, maxLimit); n != nil {
		return int(*n)
	}
	return defaultLimit
}

func (q *urlQuery) from() uint64 {
	if n := q.number("from", 1, maxSequence); n != nil {
		return *n
	}
	return 1
}

// flag reads true or false; absent is false.
func (q *urlQuery) flag(name string) bool {
	switch q.values.Get(name) {
	case "true":
		return true
	case "", "false":
		return false
	}
	q.add(name, "expected true or false")
	return false
}

// choice reads one of some words; absent is "".
func (q *urlQuery) choice(name string, words ...any) string {
	text := q.values.Get(name)
	if text != "" && !slices.Contains(words, any(text)) {
		q.add(name, "expected one of %v", words)
	}
	return text
}

// moment reads a time; absent is nil. Whether it lies in the future, the
// system's clock says.
func (q *urlQuery) moment(name string) *time.Time {
	text := q.values.Get(name)
	if text == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.add(name, "expected a time as RFC 3339, such as 2026-01-31T12:00:00Z")
		return nil
	}
	at = at.UTC()
	return &at
}

// duration checks a duration such as 10s.
func (q *urlQuery) duration(name string) {
	text := q.values.Get(name)
	if text == "" {
		return
	}
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		q.add(name, "expected a duration, such as 10s")
	}
}
