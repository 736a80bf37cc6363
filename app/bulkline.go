package app

import (
	"errors"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// bulkLine is one line of a bulk. Fields of the wrong type are read too, so that
// the caller hears of all of them at once.
type bulkLine struct {
	Command          lineText                  `json:"command"`
	ID               lineText                  `json:"id"`
	Parameters       jsontext.Value            `json:"parameters"`
	ExpectedSequence lineNumber                `json:"expectedSequence"`
	Options          jsontext.Value            `json:"options"`
	Unknown          map[string]jsontext.Value `json:",embed"`
}

// command reads one line. As much of it as could be read comes with the error.
func (b *bulk) command(line []byte) (actors.Command, error) {
	var in bulkLine
	err := json.Unmarshal(line, &in)
	c := actors.Command{Name: in.Command.text, ID: in.ID.text, Expected: in.ExpectedSequence.value, Context: b.context}
	if err != nil {
		return c, lineFault(err)
	}
	if err := in.check(); err != nil {
		return c, err
	}
	check, err := b.server.params(c.Name)
	if err != nil {
		return c, err
	}
	if c.Params, err = check.check(in.Parameters); err != nil {
		return c, err
	}
	identify(&c)
	return c, nil
}

// lineFault says why a line is not an object that can be read.
func lineFault(err error) *catalog.Fault {
	if errors.As(err, new(*jsontext.SyntacticError)) {
		return syntaxFault(err)
	}
	return catalog.Faultf(catalog.Invalid, "the line must be a JSON object")
}

// check says what is wrong around the parameters. Nobody but the caller can make
// a line's id: one that is made here is unknown to a caller that lost the answer.
func (l *bulkLine) check() error {
	var f faults
	l.Command.check("command", &f)
	if l.ID.check("id", &f) {
		if err := stream.CheckKey(l.ID.text); err != nil {
			f.add("id", "%v", err)
		}
	}
	switch l.Parameters.Kind() {
	case '{':
	case 0:
		f.add("parameters", "is missing")
	default:
		f.add("parameters", "expected object")
	}
	if l.ExpectedSequence.wrong {
		f.add("expectedSequence", "expected a whole number from 0")
	}
	checkOptions(l.Options, &f)
	for name := range l.Unknown {
		f.add(name, "is not a field here")
	}
	return f.err()
}

// checkOptions lets the options of a direct command through if they ask for
// nothing.
func checkOptions(raw jsontext.Value, f *faults) {
	if len(raw) == 0 {
		return
	}
	var options map[string]jsontext.Value
	if json.Unmarshal(raw, &options) != nil {
		f.add("options", "expected object")
		return
	}
	refused := false
	for name, value := range options {
		switch {
		case !slices.Contains(batchParams, name):
			f.add("options."+name, "is not a field here")
		case name != "dryRun" || string(value) != "false":
			refused = true
		}
	}
	if refused {
		f.add("options", "are for commands that run on: a direct command is decided at once")
	}
}

// lineText is a field of a line that must be text.
type lineText struct {
	text string
	kind jsontext.Kind // of what was given; 0 if nothing was
}

// UnmarshalJSONFrom takes any value, for check to refuse.
func (l *lineText) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	if l.kind = in.PeekKind(); l.kind != '"' {
		return in.SkipValue()
	}
	t, err := in.ReadToken()
	if err != nil {
		return err
	}
	l.text = t.String()
	return nil
}

// check says whether text was given.
func (l *lineText) check(name string, f *faults) bool {
	switch l.kind {
	case '"':
		return true
	case 0:
		f.add(name, "is missing")
	case 'n':
		f.add(name, "must not be null")
	default:
		f.add(name, "expected string")
	}
	return false
}

// lineNumber is a field of a line that may be a whole number; null is absent.
type lineNumber struct {
	value *uint64
	wrong bool
}

// UnmarshalJSONFrom takes any value, for bulkLine.check to refuse.
func (l *lineNumber) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	raw, err := in.ReadValue()
	if err != nil || raw.Kind() == 'n' {
		return err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	l.value, l.wrong = &n, err != nil
	return nil
}
