package app

import (
	"errors"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// commandLine is a command as a line of a bulk or a message has it. Fields of the
// wrong type are read too, so that the caller hears of all of them at once.
type commandLine struct {
	Command          lineText                  `json:"command"`
	ID               lineText                  `json:"id"`
	Parameters       jsontext.Value            `json:"parameters"`
	ExpectedSequence lineNumber                `json:"expectedSequence"`
	Options          jsontext.Value            `json:"options"`
	Context          jsontext.Value            `json:"context"` // of messages
	Unknown          map[string]jsontext.Value `json:",embed"`
}

// order reads one line of a bulk. As much of it as could be read comes with the
// error.
func (b *bulk) order(line []byte) (order, error) {
	var in commandLine
	err := json.Unmarshal(line, &in)
	o := order{}
	o.ID, o.Context = in.ID.text, b.context
	if err != nil {
		return o, lineFault(err, "line")
	}
	var f faults
	in.checkName(&f)
	if in.Context != nil {
		f.add("context", "is not a field here")
	}
	def := b.server.catalog.Commands[in.Command.text]
	in.checkRest(def, &o, &f)
	if err := f.err(); err != nil {
		return o, err
	}
	check, err := b.server.params(o.Name)
	if err != nil {
		return o, err
	}
	if o.Params, err = check.check(in.Parameters); err != nil {
		return o, err
	}
	identify(&o.Command)
	return o, nil
}

// lineFault says why a line, or a message, is not an object that can be read.
func lineFault(err error, what string) *catalog.Fault {
	if errors.As(err, new(*jsontext.SyntacticError)) {
		return syntaxFault(err)
	}
	return catalog.Faultf(catalog.Invalid, "the %s must be a JSON object", what)
}

// checkName says what is wrong with the command's name and id. Nobody but the
// caller can make an id: one that is made here is unknown to a caller that lost
// the answer.
func (l *commandLine) checkName(f *faults) {
	l.Command.check("command", f)
	if l.ID.check("id", f) {
		if err := stream.CheckKey(l.ID.text); err != nil {
			f.add("id", "%v", err)
		}
	}
}

// checkRest reads everything else around the parameters into an order. Of a
// command that is not known (nil) there are no options to check.
func (l *commandLine) checkRest(def *catalog.Command, o *order, f *faults) {
	o.Name, o.Expected = l.Command.text, l.ExpectedSequence.value
	switch l.Parameters.Kind() {
	case '{':
	case 0:
		f.add("parameters", "is missing")
	default:
		f.add("parameters", "expected object")
	}
	if l.ExpectedSequence.wrong {
		f.add(paramExpected, "expected a whole number from 0")
	}
	for name := range l.Unknown {
		f.add(name, "is not a field here")
	}
	options := l.options(f)
	if def == nil {
		return
	}
	o.options = readOptions(def, options, "options.", f)
	o.direct = def.Direct() != nil && options[optStartAt] == nil
	checkExpected(def, o, f)
}

func (l *commandLine) options(f *faults) map[string]any {
	if len(l.Options) == 0 || l.Options.Kind() == 'n' {
		return nil
	}
	tree, err := parseJSON(l.Options)
	options, ok := tree.(map[string]any)
	if err != nil || !ok {
		f.add("options", "expected object")
		return nil
	}
	for name := range options {
		if !slices.Contains(allOptions, name) {
			f.add("options."+name, "is not a field here")
			delete(options, name)
		}
	}
	return options
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

// UnmarshalJSONFrom takes any value, for commandLine.checkRest to refuse.
func (l *lineNumber) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	raw, err := in.ReadValue()
	if err != nil || raw.Kind() == 'n' {
		return err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if l.wrong = err != nil; !l.wrong {
		l.value = &n
	}
	return nil
}
