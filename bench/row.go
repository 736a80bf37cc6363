package main

import (
	"context"
	"fmt"
)

// The two ways in which a figure can be better.
const (
	higher = "higher"
	lower  = "lower"
)

// row is one line of the table: what is measured, and what it must reach.
type row struct {
	name   string
	unit   string
	better string
	goals  goals
	// measure returns errLeftOut if what it needs is not on this machine.
	measure func(context.Context, *lab) (measured, error)
}

// goals are what a row must reach on each store, in its ratio to the baseline
// if it has one, else in its value.
type goals map[string]float64

func onAll(goal float64) goals { return goals{"sqlite": goal, "postgres": goal, "redis": goal} }

// measured is what a row came to. A baseline of 0 means that there is none.
type measured struct {
	value          float64
	baseline       float64
	faults         faults // ours: with one, no goal is met
	baselineFaults faults
	note           string
}

// faults are calls that failed.
type faults struct {
	n     uint64
	first error
}

func (f *faults) add(t tally) {
	f.n += t.failed
	if f.first == nil {
		f.first = t.first
	}
}

// result is a row of bench.json. Goal is compared with Ratio where there is a
// baseline, else with Value; it is null where nothing must be reached on this
// store, and Met is true then.
type result struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Value    float64  `json:"value"`
	Baseline *float64 `json:"baseline"` // null: there is none
	Ratio    *float64 `json:"ratio"`    // Value / Baseline
	Goal     *float64 `json:"goal"`
	Better   string   `json:"better"`
	Met      bool     `json:"met"`

	measured measured
}

// result judges what a row came to on a store.
func (r *row) result(store string, m measured) result {
	out := result{Name: r.name, Unit: r.unit, Value: m.value, Better: r.better, measured: m}
	judged := m.value
	if m.baseline != 0 {
		judged = m.value / m.baseline
		out.Baseline, out.Ratio = &m.baseline, &judged
	}
	goal, given := r.goals[store]
	if !given {
		out.Met = true
		return out
	}
	out.Goal = &goal
	out.Met = judged >= goal
	if r.better == lower {
		out.Met = judged <= goal
	}
	out.Met = out.Met && m.faults.n == 0
	return out
}

// remark is what people should know beside the figures.
func (m *measured) remark() string {
	text := m.note
	for _, f := range []struct {
		of string
		faults
	}{{"our", m.faults}, {"the baseline's", m.baselineFaults}} {
		if f.n == 0 {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%d of %s calls failed: %.120s", f.n, f.of, f.first)
	}
	return text
}
