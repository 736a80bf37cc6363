package estest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// Is expects the command to have this status now, e.g. "completed", "waiting",
// "compensated". What is not expected is not checked.
func (r *Run) Is(status string) *Run {
	r.t.Helper()
	if got := r.state.Progress.Status; got != status {
		r.t.Errorf("%s is %s, expected %s%s", r.def.Name, got, status, r.why())
	}
	return r
}

// Because expects the reason for which the command did not complete, e.g.
// "insufficient-funds".
func (r *Run) Because(reason string) *Run {
	r.t.Helper()
	if f := r.state.Progress.Error; f == nil || f.Reason != reason {
		r.t.Errorf("%s is %s, expected that for %q%s", r.def.Name, r.state.Progress.Status, reason, r.why())
	}
	return r
}

// Invalid expects that the command did not accept this parameter, and did
// nothing. What the schema does not accept is not tested here.
func (r *Run) Invalid(field string) *Run {
	r.t.Helper()
	f := r.state.Progress.Error
	if r.state.Progress.Status != flow.StatusInvalid || f == nil ||
		!slices.ContainsFunc(f.Fields, func(x catalog.Field) bool { return x.Field == field }) {
		r.t.Errorf("%s is %s, expected parameter %q to be invalid%s", r.def.Name, r.state.Progress.Status, field, r.why())
	}
	return r
}

// Result expects the command to have completed with this result; they are
// compared as JSON.
func (r *Run) Result(want any) *Run {
	r.t.Helper()
	r.Is(flow.StatusCompleted)
	data, err := json.Marshal(want)
	if err != nil {
		r.t.Errorf("expected result: %v", err)
		return r
	}
	if got := string(r.state.Progress.Result); got != string(data) {
		r.t.Errorf("%s has result %s, expected %s", r.def.Name, got, data)
	}
	return r
}

// Steps expects these steps with these statuses, in the order of the command:
// "withdraw compensated", "deposit rejected".
func (r *Run) Steps(want ...string) *Run {
	r.t.Helper()
	var got []string
	for _, s := range r.state.Progress.Steps {
		got = append(got, s.Name+" "+s.Status)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%s took steps:%s\nexpected:%s%s", r.def.Name, lines(got), lines(want), r.why())
	}
	return r
}

// Appended expects the command to have appended exactly these events to an
// entity, in this order, from its start until now.
func (r *Run) Appended(to *Stream, want ...es.Event) *Run {
	r.t.Helper()
	var got es.Events
	for _, e := range to.log {
		if e.meta.CausationID == r.id || strings.HasPrefix(e.meta.CausationID, r.id+"/") {
			got = append(got, valueOf(e.value))
		}
	}
	if got, want := show(got), show(want); got != want {
		r.t.Errorf("%s appended to %s:%s\nexpected:%s", r.def.Name, to.key, got, want)
	}
	return r
}

// Items expects so many items of a batch to have succeeded, and so many not.
func (r *Run) Items(succeeded, failed int) *Run {
	r.t.Helper()
	items := r.state.Progress.Items
	if items == nil || items.Succeeded != succeeded || items.Failed != failed {
		r.t.Errorf("%s has items %+v, expected %d to succeed and %d to fail", r.def.Name, items, succeeded, failed)
	}
	return r
}

// why is what the command and its steps say, for people.
func (r *Run) why() string {
	var b strings.Builder
	if f := r.state.Progress.Error; f != nil {
		fmt.Fprintf(&b, "\n  %v", f)
	}
	for _, s := range r.state.Progress.Steps {
		if s.Message != "" {
			fmt.Fprintf(&b, "\n  step %s: %s", s.Name, s.Message)
		}
	}
	return b.String()
}

func lines(of []string) string {
	if len(of) == 0 {
		return "\n  none"
	}
	return "\n  " + strings.Join(of, "\n  ")
}
