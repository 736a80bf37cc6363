package app

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// faults collects what is wrong with the fields of one request, so that the
// caller hears of everything at once.
type faults struct {
	fields []catalog.Field
}

func (f *faults) add(field, format string, args ...any) {
	f.fields = append(f.fields, catalog.Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

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
	return &catalog.Fault{Code: catalog.Invalid, Detail: detail, Fields: f.fields}
}

// invalid is a fault of one field.
func invalid(field, message string) *catalog.Fault {
	return &catalog.Fault{
		Code: catalog.Invalid, Detail: field + ": " + message,
		Fields: []catalog.Field{{Field: field, Message: message}},
	}
}
