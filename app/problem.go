package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// codeForbidden is a fault of the edge alone: the system behind it never
// answers with it.
const codeForbidden catalog.Code = "forbidden"

// retryAfter is what Retry-After says with every unavailable, in seconds.
const retryAfter = 1

// kinds is the one mapping from codes to HTTP, and the table of API.md.
var kinds = map[catalog.Code]struct {
	status int
	title  string
}{
	catalog.Invalid:     {http.StatusBadRequest, "The request is not valid"},
	catalog.NotFound:    {http.StatusNotFound, "There is no such thing"},
	catalog.Rejected:    {http.StatusUnprocessableEntity, "The domain rejected the command"},
	catalog.Conflict:    {http.StatusConflict, "A precondition does not hold"},
	catalog.TooLarge:    {http.StatusRequestEntityTooLarge, "Too large"},
	codeForbidden:       {http.StatusForbidden, "Not allowed"},
	catalog.Unavailable: {http.StatusServiceUnavailable, "Not available now"},
	catalog.Internal:    {http.StatusInternalServerError, "A fault of the system"},
}

// problem is the body of every error, RFC 9457 with a code.
type problem struct {
	Type   string          `json:"type" doc:"urn:longrun:problem: and the code"`
	Title  string          `json:"title"`
	Status int             `json:"status" doc:"the HTTP status"`
	Code   catalog.Code    `json:"code" enum:"invalid,not-found,rejected,conflict,too-large,unauthorized,forbidden,unavailable,internal" doc:"what to branch on"`
	Detail string          `json:"detail" doc:"for people"`
	Reason string          `json:"reason,omitempty" doc:"of a rejection: the domain's own code, e.g. insufficient-funds"`
	Errors []catalog.Field `json:"errors,omitempty" doc:"what is wrong with each field"`
}

// problemOf tells err to a caller. What is not a fault with a known code is a
// bug: it is logged, and nothing of it is told. What gRPC says of the sidecar is
// for the log too, and which deadline was missed where.
func problemOf(err error, log *slog.Logger) problem {
	var f *catalog.Fault
	if !errors.As(err, &f) {
		f = &catalog.Fault{Code: catalog.Internal}
	}
	kind, known := kinds[f.Code]
	if !known || f.Code == catalog.Internal {
		log.Error("internal fault", "error", err)
		f = &catalog.Fault{Code: catalog.Internal, Detail: "an unexpected fault; the log of the system says more"}
		kind = kinds[f.Code]
	}
	if plain := inWords(f); plain != f.Detail {
		log.Debug("unavailable", "error", err)
		f = &catalog.Fault{Code: f.Code, Detail: plain}
	}
	return problem{
		Type:   "urn:longrun:problem:" + string(f.Code),
		Title:  kind.title,
		Status: kind.status,
		Code:   f.Code,
		Detail: f.Detail,
		Reason: f.Reason,
		Errors: f.Fields,
	}
}

// inWords is a fault's detail for people.
func inWords(f *catalog.Fault) string {
	switch {
	case f.Code != catalog.Unavailable:
		return f.Detail
	case strings.Contains(f.Detail, "rpc error:"):
		return "the sidecar, its store or its broker does not serve this now; try again"
	case strings.Contains(f.Detail, context.DeadlineExceeded.Error()):
		return "there was no answer in time; try again"
	}
	return f.Detail
}

// writeProblem answers with err.
func writeProblem(w http.ResponseWriter, err error, log *slog.Logger) {
	p := problemOf(err, log)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.Code == catalog.Unavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(p.Status)
	body, _ := encodeJSON(p)           // of text and numbers: it cannot fail
	_, _ = w.Write(append(body, '\n')) // the client is gone; nobody is left to tell
}

// writeJSON answers 200 with v.
func writeJSON(w http.ResponseWriter, v any) error { return writeStatus(w, http.StatusOK, v) }

// writeStatus answers with a status and v.
func writeStatus(w http.ResponseWriter, status int, v any) error {
	body, err := encodeJSON(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone; nobody is left to tell
	return nil
}

// faults collects what is wrong with the fields of one request, so that the
// caller hears of everything at once.
type faults struct {
	fields []catalog.Field
}

func (f *faults) add(field, format string, args ...any) {
	f.fields = append(f.fields, catalog.Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

// maxFields is how many fields an answer names at most: a list of a hundred
// thousand can be wrong in each.
const maxFields = 100

// err is everything that was wrong, by field, as one *catalog.Fault; nil if
// nothing was.
func (f *faults) err() error {
	if len(f.fields) == 0 {
		return nil
	}
	slices.SortStableFunc(f.fields, func(a, b catalog.Field) int { return cmp.Compare(a.Field, b.Field) })
	detail := f.fields[0].Field + ": " + f.fields[0].Message
	if more := len(f.fields) - 1; more > 0 {
		detail += fmt.Sprintf(" (and %d more)", more)
	}
	return &catalog.Fault{Code: catalog.Invalid, Detail: detail, Fields: f.fields[:min(len(f.fields), maxFields)]}
}

// invalid is a fault of one field.
func invalid(field, message string) *catalog.Fault {
	return &catalog.Fault{
		Code: catalog.Invalid, Detail: field + ": " + message,
		Fields: []catalog.Field{{Field: field, Message: message}},
	}
}
