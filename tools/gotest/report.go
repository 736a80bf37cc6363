package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// test is one test, subtest, example, benchmark or fuzz target, or, without a
// name, what its package prints besides.
type test struct{ pkg, name string }

// report turns events into what people want to see.
type report struct {
	w       io.Writer
	output  map[test][]string // kept until the test has ended
	skipped []string
	failed  []string
	passed  int
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: map[test][]string{}}
}

// read takes events until they end. A line that is none is shown as it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				r.print(string(line))
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		r.output[t] = append(r.output[t], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
		delete(r.output, t)
	}
}

func (r *report) endTest(e event) {
	output := r.output[test{e.Package, e.Test}]
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output)))
	case "fail":
		r.failed = append(r.failed, e.Package+" "+e.Test)
		r.print(strings.Join(output, ""))
	}
}

func (r *report) endPackage(e event) {
	switch e.Action {
	case "pass":
		r.print(fmt.Sprintf("ok    %s %.1fs\n", e.Package, e.Elapsed))
	case "fail":
		// A package that failed without a failed test says why itself: it did not
		// build, panicked, or ran out of time.
		r.print(strings.Join(r.output[test{e.Package, ""}], ""))
		for t, output := range r.output {
			if t.pkg == e.Package && t.name != "" { // still running when it ended
				r.print(strings.Join(output, ""))
			}
		}
		r.failed = append(r.failed, e.Package)
	}
}

// reason is what a skipped test said.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(output[i])
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if _, said, found := strings.Cut(line, ".go:"); found { // file.go:12: reason
			if _, said, found = strings.Cut(said, ": "); found {
				return said
			}
		}
		return line
	}
	return "skipped"
}

// sum is the end of the report.
func (r *report) sum() {
	r.print(fmt.Sprintf("\n%d tests passed, %d failed, %d did not run\n", r.passed, len(r.failed), len(r.skipped)))
	for _, name := range r.failed {
		r.print("  failed: " + name + "\n")
	}
	missing := false
	for _, name := range r.skipped {
		r.print("  not run: " + name + "\n")
		missing = missing || strings.Contains(name, "is not installed")
	}
	if missing {
		r.print("`make services` installs what is missing on Debian.\n")
	}
}

func (r *report) print(text string) {
	_, _ = io.WriteString(r.w, text) // there is nobody to tell
}
