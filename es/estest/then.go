package estest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Outcome is what a command came to. A test says what it expects; what is not
// expected is not checked.
type Outcome struct {
	t      testing.TB
	stream *Stream
	before int // events there were before
	result json.RawMessage
	err    error
}

// Then expects success, and exactly these events in this order.
func (o *Outcome) Then(events ...es.Event) *Outcome {
	o.t.Helper()
	if !o.succeeded() {
		return o
	}
	got, want := show(o.stream.since(o.before)), show(events)
	if got != want {
		o.t.Errorf("appended:%s\nexpected:%s", got, want)
	}
	return o
}

// Nothing expects success without events.
func (o *Outcome) Nothing() *Outcome {
	o.t.Helper()
	return o.Then()
}

// Result expects success and this result; they are compared as JSON.
func (o *Outcome) Result(want any) *Outcome {
	o.t.Helper()
	if !o.succeeded() {
		return o
	}
	data, err := json.Marshal(want)
	if err != nil {
		o.t.Errorf("expected result: %v", err)
		return o
	}
	if string(data) != string(o.result) {
		o.t.Errorf("result %s, expected %s", o.result, data)
	}
	return o
}

// Rejected expects the domain's no, with this reason.
func (o *Outcome) Rejected(reason string) *Outcome {
	o.t.Helper()
	if f := o.fault(catalog.Rejected); f != nil && f.Reason != reason {
		o.t.Errorf("rejected with %q (%s), expected %q", f.Reason, f.Detail, reason)
	}
	return o
}

// Invalid expects that the decision did not accept this parameter. What the
// schema does not accept never reaches a decision and is not tested here.
func (o *Outcome) Invalid(field string) *Outcome {
	o.t.Helper()
	f := o.fault(catalog.Invalid)
	if f != nil && !slices.ContainsFunc(f.Fields, func(x catalog.Field) bool { return x.Field == field }) {
		o.t.Errorf("invalid: %s, expected that to be about %q", f.Detail, field)
	}
	return o
}

// Conflict expects that the entity was not new (MustBeNew) or did not exist
// (MustExist).
func (o *Outcome) Conflict() *Outcome {
	o.t.Helper()
	_ = o.fault(catalog.Conflict)
	return o
}

// Err is why the command did not succeed; nil if it did.
func (o *Outcome) Err() error { return o.err }

// And goes on with the entity, to which by now has happened what was appended.
func (o *Outcome) And() *Stream { return o.stream }

func (o *Outcome) succeeded() bool {
	o.t.Helper()
	if o.err != nil {
		o.t.Errorf("expected success, got: %v", o.err)
	}
	return o.err == nil
}

// fault is why the command failed, if that is of the expected kind.
func (o *Outcome) fault(code catalog.Code) *catalog.Fault {
	o.t.Helper()
	var f *catalog.Fault
	switch {
	case o.err == nil:
		o.t.Errorf("expected %s, but it succeeded and appended:%s", code, show(o.stream.since(o.before)))
	case !errors.As(o.err, &f) || f.Code != code:
		o.t.Errorf("expected %s, got: %v", code, o.err)
	default:
		return f
	}
	return nil
}
