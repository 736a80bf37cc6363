package app

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// openAPI writes the OpenAPI 3.1 document: the operations, and for each command
// one of its own, with the schema of its parameters and an example.
func openAPI(s *Server, r huma.Registry, operations []*operation) ([]byte, error) {
	d := &document{registry: r, catalog: s.catalog, OpenAPI: &huma.OpenAPI{
		OpenAPI:    "3.1.0",
		Info:       &huma.Info{Title: "Longrun", Version: cmp.Or(s.version, "devel")},
		Components: &huma.Components{Schemas: r},
	}}
	for _, op := range operations {
		if !op.hidden {
			d.add(op)
		}
		for _, c := range sorted(s.catalog.Commands) {
			switch op.id {
			case "post-command":
				d.addCommand(op, c, s.commands[c.Name])
			case "signal-command":
				for _, w := range waits(c) {
					d.addSignal(op, c, w, s.signals[w])
				}
			}
		}
	}
	d.addBulk()
	d.neverNull(d.schema(problem{}), map[*huma.Schema]bool{})
	return json.Marshal(d.OpenAPI)
}

func (s *Server) showOpenAPI(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(s.spec) // the client is gone; nobody is left to tell
	return nil
}

type document struct {
	*huma.OpenAPI
	registry huma.Registry
	catalog  *catalog.Catalog
}

func (d *document) add(op *operation) {
	out := d.operation(op)
	d.addPath(out)
	switch {
	case op.answer == nil:
		out.Responses["200"] = &huma.Response{Description: op.summary}
	case op.status == http.StatusAccepted:
		d.accepted(out)
	default:
		s := d.schema(op.answer)
		d.neverNull(s, map[*huma.Schema]bool{})
		d.answer(out, s)
	}
	d.AddOperation(out)
}

// addPath describes what varies in the path.
func (d *document) addPath(op *huma.Operation) {
	for _, segment := range strings.Split(op.Path, "/") {
		if variable(segment) {
			op.Parameters = append(op.Parameters, d.pathParam(strings.Trim(segment, "{}")))
		}
	}
}

// addCommand adds what post, POST /commands/{command}, is for one command.
func (d *document) addCommand(post *operation, c *catalog.Command, p *params) {
	out := d.operation(post)
	out.Path = "/commands/" + c.Name
	out.OperationID = c.Name
	out.Summary, out.Description = c.Name, c.Doc
	out.Parameters = slices.DeleteFunc(out.Parameters, func(p *huma.Param) bool { return p.In == "query" && !inURL(c, p.Name) })
	out.RequestBody = d.body(p)
	progress := d.schema(flow.Progress{})
	d.neverNull(progress, map[*huma.Schema]bool{})
	ended := d.withResult(progress, c)
	if c.Direct() != nil {
		d.answer(out, &huma.Schema{OneOf: []*huma.Schema{d.withResult(d.schema(actors.Answer{}), c), ended}})
		out.Responses["200"].Description = "OK; with " + optStartAt + ", its progress, if it has ended within the time that was to be waited"
	} else {
		d.answer(out, ended)
		out.Responses["200"].Description = "the command has ended within the time that was to be waited"
	}
	d.accepted(out)
	d.AddOperation(out)
}

// addSignal adds what signal, POST …/signal/{name}, is for one that a command
// declares.
func (d *document) addSignal(signal *operation, c *catalog.Command, w *catalog.Wait, p *params) {
	out := d.operation(signal)
	out.Path = strings.NewReplacer("{command}", c.Name, "{name}", w.Signal).Replace(out.Path)
	out.OperationID = c.Name + "." + w.Signal
	out.Summary = "Sends " + c.Name + " the signal " + w.Signal
	d.addPath(out)
	if !p.none {
		out.RequestBody = d.body(p)
	}
	d.accepted(out)
	d.AddOperation(out)
}

func (d *document) body(p *params) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: p.schema, Example: exampleOf(d.registry, p.schema)},
	}}
}

// withResult is an answer's schema with the result of one command.
func (d *document) withResult(answer *huma.Schema, c *catalog.Command) *huma.Schema {
	s := *d.registry.SchemaFromRef(answer.Ref)
	s.Properties = maps.Clone(s.Properties)
	delete(s.Properties, "result")
	switch t := c.Result; {
	case c.Batch != nil:
		s.Properties["result"] = d.schema(flow.Items{})
	case t != nil && t.Size() > 0:
		s.Properties["result"] = d.registry.Schema(t, true, t.Name())
	}
	return &s
}

// accepted describes the 202.
func (d *document) accepted(op *huma.Operation) {
	op.Responses["202"] = &huma.Response{
		Description: "Accepted: it is durable, and goes on",
		Headers:     map[string]*huma.Param{"Location": {Description: "the command's progress", Schema: &huma.Schema{Type: huma.TypeString}}},
		Content:     map[string]*huma.MediaType{"application/json": {Schema: d.schema(accepted{})}},
	}
}

// addBulk describes the body of POST /commands, whose lines are not one JSON.
func (d *document) addBulk() {
	line := `{"command":"…","id":"…","parameters":{…},"expectedSequence":…,"options":{…}}, the last two optional`
	bulk := d.Paths["/commands"].Post
	text := &huma.Schema{Type: huma.TypeString}
	bulk.RequestBody = &huma.RequestBody{
		Description: "a line each: " + line, Required: true,
		Content: map[string]*huma.MediaType{contentNDJSON: {Schema: text}},
	}
	bulk.Responses["200"].Content = map[string]*huma.MediaType{contentNDJSON: {Schema: text}}
}

func (d *document) operation(op *operation) *huma.Operation {
	out := &huma.Operation{
		Method: op.method, Path: op.path, OperationID: op.id, Summary: op.summary,
		Responses: map[string]*huma.Response{"default": {
			Description: "what went wrong",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: d.schema(problem{})}},
		}},
	}
	for _, name := range op.headers {
		out.Parameters = append(out.Parameters, &huma.Param{Name: name, In: "header", Schema: keySchema()})
	}
	for _, p := range op.query {
		out.Parameters = append(out.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Schema: &p.schema})
	}
	return out
}

func (d *document) answer(op *huma.Operation, s *huma.Schema) {
	content := map[string]*huma.MediaType{"application/json": {Schema: s}}
	if slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == paramFollow.name }) {
		content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op.Responses["200"] = &huma.Response{Description: "OK", Content: content}
}

// pathParam describes a variable segment; where the catalog says what there
// is, it can be nothing else.
func (d *document) pathParam(name string) *huma.Param {
	s := keySchema()
	switch name {
	case "command":
		s = names(maps.Keys(d.catalog.Commands))
	case "type":
		s = names(maps.Keys(d.catalog.Entities))
	}
	return &huma.Param{Name: name, In: "path", Required: true, Schema: s}
}

func (d *document) schema(v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return d.registry.Schema(t, true, t.Name())
}

// neverNull says of every list in an answer that it is none or some, never null.
func (d *document) neverNull(s *huma.Schema, seen map[*huma.Schema]bool) {
	if s == nil {
		return
	}
	if s = resolved(d.registry, s); seen[s] {
		return
	}
	seen[s] = true
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	d.neverNull(s.Items, seen)
	for _, property := range s.Properties {
		d.neverNull(property, seen)
	}
}

// variable says whether a segment of an operation's path stands for any one.
func variable(segment string) bool { return strings.HasPrefix(segment, "{") }

// keySchema is what a key or an id can be.
func keySchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(512)}
}

func names(keys func(func(string) bool)) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, name := range slices.Sorted(keys) {
		s.Enum = append(s.Enum, name)
	}
	return s
}

// sorted is the values of a catalog's map in the order of their names.
func sorted[T any](m map[string]T) []T {
	var out []T
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name])
	}
	return out
}
