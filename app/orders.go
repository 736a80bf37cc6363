package app

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/workflows"
)

// The kinds of commands, as GET / names them.
const (
	kindDirect    = "direct"
	kindMultiStep = "multi-step"
	kindBatch     = "batch"
)

func kindOf(c *catalog.Command) string {
	switch {
	case c.Batch != nil:
		return kindBatch
	case c.Direct() != nil:
		return kindDirect
	}
	return kindMultiStep
}

// order is a command that was asked for, whichever way, and checked.
type order struct {
	actors.Command
	options flow.Options
	direct  bool // it is decided at once; else it runs on
}

// start is the order for whoever runs it on.
func (o *order) start() workflows.Start {
	return workflows.Start{Command: o.Name, ID: o.ID, Params: o.Params, Options: o.options, Context: o.Context, CauseAt: o.CauseAt}
}

// accepted is the answer for a command that runs on.
type accepted struct {
	ID      string `json:"id"`
	Command string `json:"command"`
	Status  string `json:"status" doc:"as it is now"`
}

func newAccepted(p flow.Progress) accepted { return accepted{p.ID, p.Command, p.Status} }

// writeAccepted answers 202 with where the command's progress is.
func writeAccepted(w http.ResponseWriter, p flow.Progress) error {
	w.Header().Set("Location", "/commands/"+segment(p.Command)+"/"+segment(p.ID))
	return writeStatus(w, http.StatusAccepted, newAccepted(p))
}

// segment writes a key or an id as one segment of a path: not even "." and ".."
// mean anything but themselves.
func segment(key string) string {
	if key == "." || key == ".." {
		return strings.ReplaceAll(key, ".", "%2E")
	}
	return url.PathEscape(key)
}

// The options of commands that run on: parameters in the URL, and fields of the
// options of a line or a message.
const (
	optStartAt           = "startAt"
	optDryRun            = "dryRun"
	optRatePerSecond     = "ratePerSecond"
	optStopAfterFailures = "stopAfterFailures"
)

// paramExpected is the sequence that the entity of a direct command must have.
const paramExpected = "expectedSequence"

var allOptions = []string{optStartAt, optDryRun, optRatePerSecond, optStopAfterFailures}

// minRate is the least rate: about four items an hour.
const minRate = 0.001

// takes says whether an option means anything for a command.
func takes(c *catalog.Command, option string) bool { return option == optStartAt || c.Batch != nil }

// readOptions reads what parseJSON made of the options; null is absent. An option
// that would have no effect is refused: ignored in silence, a dry run were real.
// A dryRun that is false asks for nothing. Faults name a field with at before it.
func readOptions(c *catalog.Command, options map[string]any, at string, f *faults) (o flow.Options) {
	for name, v := range options {
		switch {
		case v == nil:
			continue
		case !takes(c, name) && (name != optDryRun || v != false):
			f.add(at+name, "is for batches: %s is %s", c.Name, kindOf(c))
			continue
		}
		switch name {
		case optStartAt:
			text, _ := v.(string)
			t, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				f.add(at+name, "expected a time as RFC 3339, such as 2026-01-31T12:00:00Z")
				continue
			}
			t = t.UTC()
			o.StartAt = &t
		case optDryRun:
			dry, ok := v.(bool)
			if !ok {
				f.add(at+name, "expected true or false")
			}
			o.DryRun = dry
		case optRatePerSecond:
			n, _ := v.(json.Number)
			rate, err := n.Float64()
			if err != nil || rate < minRate {
				f.add(at+name, "expected a number of at least %v", minRate)
			}
			o.RatePerSecond = rate
		case optStopAfterFailures:
			n, _ := v.(json.Number)
			most, err := strconv.ParseInt(string(wholeNumber(n)), 10, 64)
			if err != nil || most < 1 || most > math.MaxInt32 {
				f.add(at+name, "expected a whole number from 1 to %d", math.MaxInt32)
			}
			o.StopAfterFailures = int(most)
		}
	}
	return o
}

// options reads those of a command from the URL.
func (q *urlQuery) options(c *catalog.Command) flow.Options {
	given := map[string]any{}
	for _, name := range allOptions {
		if !q.values.Has(name) {
			continue
		}
		text := q.text(name)
		given[name] = text
		if name == optStartAt {
			continue
		}
		if v, err := parseJSON([]byte(text)); err == nil && v != nil {
			given[name] = v // else the text, which is refused
		}
	}
	return readOptions(c, given, "", &q.faults)
}

// checkExpected refuses a sequence to be expected where nothing is decided at
// once.
func checkExpected(c *catalog.Command, o *order, f *faults) {
	switch {
	case o.Expected == nil || o.direct:
	case c.Direct() != nil:
		f.add(paramExpected, "is for what is decided at once, not at %s", optStartAt)
	default:
		f.add(paramExpected, "is for direct commands: %s is %s", c.Name, kindOf(c))
	}
}
