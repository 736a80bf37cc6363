package app

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// sourceMessage is the Context.Source of a message that names none.
const sourceMessage = "pubsub"

// maxCommentary is how long a commentary may be, in bytes.
const maxCommentary = 4096

// incoming is what was read of a message.
type incoming struct {
	order
	named bool  // the command is known and the id can be one: it can be recorded
	err   error // what is wrong with it; not the same each time only if it is no *catalog.Fault
}

// read reads a message, which is JSON whatever it says of itself: curl -d says
// that it is a form.
func (r *Router) read(m actors.Message) (in incoming) {
	if len(m.Data) > maxBody {
		in.err = catalog.Faultf(catalog.TooLarge, "the message has more than %d bytes", maxBody)
		return in
	}
	var line commandLine
	if err := json.Unmarshal(m.Data, &line); err != nil {
		in.err = lineFault(err, "message")
		return in
	}
	var f faults
	line.checkName(&f)
	named := len(f.fields) == 0
	in.ID = line.ID.text
	def := r.server.catalog.Commands[line.Command.text]
	line.checkRest(def, &in.order, &f)
	in.Context = line.context(m, &f)
	if in.Context.CorrelationID == "" {
		in.Context.CorrelationID = in.ID
	}
	if named && def == nil {
		_, in.err = r.server.params(in.Name)
		return in
	}
	if in.err = f.err(); in.err == nil {
		in.Params, in.err = r.server.commands[in.Name].check(line.Parameters)
	}
	if in.named = named; in.err != nil {
		in.Params = asSent(line.Parameters)
	}
	return in
}

// asSent is parameters that are not valid, in one way of writing them.
func asSent(params jsontext.Value) []byte {
	if params == nil {
		return nil
	}
	compact := params.Clone()
	_ = compact.Compact() // it was read: it is JSON
	return compact
}

// messageContext is who sends a command, and why.
type messageContext struct {
	Who           lineText                  `json:"who"`
	Source        lineText                  `json:"source"`
	Commentary    lineText                  `json:"commentary"`
	CorrelationID lineText                  `json:"correlationId"`
	CausationID   lineText                  `json:"causationId"`
	Unknown       map[string]jsontext.Value `json:",embed"`
}

// context reads the context of a message. What it does not say, its envelope may.
func (l *commandLine) context(m actors.Message, f *faults) stream.Context {
	var in messageContext
	if len(l.Context) > 0 && l.Context.Kind() != 'n' && json.Unmarshal(l.Context, &in) != nil {
		f.add("context", "expected object")
	}
	for name := range in.Unknown {
		f.add("context."+name, "is not a field here")
	}
	if len(in.Commentary.text) > maxCommentary {
		f.add("context.commentary", "must have at most %d bytes", maxCommentary)
	}
	key := func(name string, given lineText, otherwise string) string {
		text := given.optional("context."+name, f)
		if text == "" {
			if stream.CheckKey(otherwise) != nil {
				return ""
			}
			return otherwise
		}
		if err := stream.CheckKey(text); err != nil {
			f.add("context."+name, "%s", strings.Replace(err.Error(), "the key", "it", 1))
		}
		return text
	}
	return stream.Context{
		Who:           key("who", in.Who, ""),
		Source:        key("source", in.Source, sourceMessage),
		Commentary:    in.Commentary.optional("context.commentary", f),
		CorrelationID: key("correlationId", in.CorrelationID, m.CorrelationID),
		CausationID:   key("causationId", in.CausationID, m.CausationID),
	}
}

// optional is text that need not be there.
func (l *lineText) optional(name string, f *faults) string {
	if l.kind != 0 && l.kind != 'n' {
		l.check(name, f)
	}
	return l.text
}
