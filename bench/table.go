package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// printTable writes the results for people.
func printTable(w io.Writer, store string, results []result) {
	fmt.Fprintf(w, "\nLongrun on %s; the goal is for the ratio where there is one, else for the value.\n\n", store)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "row\tvalue\tbaseline\tratio\tgoal\t\tunit\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, figure(&r.Value), figure(r.Baseline), figure(r.Ratio),
			r.bound(), r.verdict(), r.Unit, r.measured.remark())
	}
	_ = t.Flush() // a table that cannot be printed is in the file
}

// brief is a result in one line.
func (r *result) brief() string {
	text := figure(&r.Value) + " " + r.Unit
	if r.Ratio != nil {
		text += ", ratio " + figure(r.Ratio)
	}
	if r.Goal != nil {
		text += ", goal " + r.bound() + ": " + r.verdict()
	}
	if remark := r.measured.remark(); remark != "" {
		text += " (" + remark + ")"
	}
	return text
}

// bound is the goal with its direction.
func (r *result) bound() string {
	switch {
	case r.Goal == nil:
		return ""
	case r.Better == lower:
		return "<= " + figure(r.Goal)
	default:
		return ">= " + figure(r.Goal)
	}
}

func (r *result) verdict() string {
	switch {
	case r.Goal == nil:
		return ""
	case r.Met:
		return "met"
	default:
		return "NOT MET"
	}
}

// figure rounds to what matters.
func figure(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v >= 100:
		return strconv.FormatFloat(*v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(*v, 'g', 3, 64)
	}
}
