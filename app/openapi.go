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
		if op.id == "post-command" {
			for _, c := range sorted(s.catalog.Commands) {
				d.addCommand(op, c, s.commands[c.Name])
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
	for _, segment := range strings.Split(op.path, "/") {
		if variable(segment) {
			out.Parameters = append(out.Parameters, d.pathParam(strings.Trim(segment, "{}")))
		}
	}
	if op.answer != nil {
		s := d.schema(op.answer)
		d.neverNull(s, map[*huma.Schema]bool{})
		d.answer(out, s)
	} else {
		out.Responses["200"] = &huma.Response{Description: op.summary}
	}
	d.AddOperation(out)
}

// addCommand adds what post, POST /commands/{command}, is for one command.
func (d *document) addCommand(post *operation, c *catalog.Command, p *params) {
	out := d.operation(post)
	out.Path = "/commands/" + c.Name
	out.OperationID = c.Name
	out.Summary, out.Description = c.Name, c.Doc
	out.Parameters = slices.DeleteFunc(out.Parameters, func(p *huma.Param) bool { return slices.Contains(batchParams, p.Name) })
	out.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: p.schema, Example: exampleOf(d.registry, p.schema)},
	}}
	answer := *d.registry.SchemaFromRef(d.schema(actors.Answer{}).Ref)
	answer.Properties = maps.Clone(answer.Properties)
	delete(answer.Properties, "result")
	if t := c.Result; t != nil && t.Size() > 0 {
		answer.Properties["result"] = d.registry.Schema(t, true, t.Name())
	}
	d.answer(out, &answer)
	d.AddOperation(out)
}

// addBulk describes the body of POST /commands, whose lines are not one JSON.
func (d *document) addBulk() {
	line := `{"command":"…","id":"…","parameters":{…},"expectedSequence":…}, all but the last required`
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
