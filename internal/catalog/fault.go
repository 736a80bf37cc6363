package catalog

import "fmt"

// Code is a stable name of a kind of error, the same in actors, in streams and
// over HTTP.
type Code string

// The codes. What is not one of these inside the system is Unavailable (may be
// tried again with the same id) or Internal (a fault of the code).
const (
	Invalid     Code = "invalid"
	NotFound    Code = "not-found"
	Rejected    Code = "rejected"
	Conflict    Code = "conflict"
	TooLarge    Code = "too-large"
	Unavailable Code = "unavailable"
	Internal    Code = "internal"
)

// Fault is an error with a code, which crosses borders as data.
type Fault struct {
	Code   Code    `json:"code"`
	Reason string  `json:"reason,omitempty"` // of a rejection: the domain's own code
	Detail string  `json:"detail,omitempty"`
	Fields []Field `json:"errors,omitempty"` // of what is invalid
}

// Field says what is wrong with one field of the input.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (f *Fault) Error() string {
	switch {
	case f.Reason != "":
		return fmt.Sprintf("%s (%s): %s", f.Code, f.Reason, f.Detail)
	case f.Detail != "":
		return string(f.Code) + ": " + f.Detail
	default:
		return string(f.Code)
	}
}

// Faultf makes a fault.
func Faultf(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Detail: fmt.Sprintf(format, args...)}
}
