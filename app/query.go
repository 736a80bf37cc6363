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
	empty  meaning
}

// meaning is what a parameter that is given without a value means.
type meaning int

const (
	emptyIsWrong  meaning = iota // an unset variable must not drop a precondition
	emptyIsAbsent                // of filters and cursors, which scripts fill in
	emptyIsValue                 // of a classifier's parameters: their schema says
)

// The parameters that several operations take.
var (
	paramLimit  = urlParam{name: "limit", doc: "how many, 100 if absent", schema: huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0), Maximum: new(1000.0)}}
	paramCursor = urlParam{name: "cursor", doc: "the last answer's next", schema: huma.Schema{Type: huma.TypeString}, empty: emptyIsAbsent}
	paramFrom   = urlParam{name: "from", doc: "the first sequence, 1 if absent", schema: huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(1.0)}}
	paramFollow = urlParam{name: "follow", doc: "keeps the answer open as server-sent events", schema: huma.Schema{Type: huma.TypeBoolean}}
	paramAsOf   = urlParam{name: "asOf", doc: "the state at this time of commit, RFC 3339", schema: huma.Schema{Type: huma.TypeString, Format: "date-time"}}
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

// parseQuery reads a raw query. A parameter that is not among the known ones is
// refused: a mistyped asOf must not answer with the state of now.
func parseQuery(raw string, known []urlParam) (*urlQuery, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the query of the URL cannot be read: %v", err)
	}
	q := &urlQuery{values: values}
	for name, given := range values {
		i := slices.IndexFunc(known, func(p urlParam) bool { return p.name == name })
		if i >= 0 && known[i].empty == emptyIsAbsent {
			given = slices.DeleteFunc(given, func(v string) bool { return v == "" })
			values[name] = given
		}
		switch {
		case i < 0:
			q.add(name, "is not a parameter here")
		case len(given) == 0:
			delete(values, name)
		case len(given) > 1:
			q.add(name, "is given twice")
		case given[0] == "" && known[i].empty == emptyIsWrong:
			q.add(name, "is empty: give it a value, or leave it out")
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

// duration reads a duration such as 10s; absent is 0.
func (q *urlQuery) duration(name string) time.Duration {
	text := q.values.Get(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		q.add(name, "expected a duration, such as 10s")
		return 0
	}
	return d
}
