package app

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// index is what GET / answers: what there is, and how to call it.
type index struct {
	Version  string         `json:"version"`
	OpenAPI  string         `json:"openapi" doc:"the whole API, described"`
	Entities []indexEntity  `json:"entities"`
	Commands []indexCommand `json:"commands"`
}

type indexEntity struct {
	Type        string            `json:"type"`
	Events      []indexEvent      `json:"events"`
	Projections []string          `json:"projections"`
	Classifiers []indexClassifier `json:"classifiers"`
	Examples    []string          `json:"examples"`
}

type indexEvent struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}

type indexClassifier struct {
	Name       string `json:"name"`
	Parameters string `json:"parameters" doc:"where their schema is"`
}

type indexCommand struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind" enum:"direct,multi-step,batch"`
	Doc        string   `json:"doc,omitempty"`
	Entity     string   `json:"entity,omitempty" doc:"of a direct command: what it is about"`
	Item       string   `json:"item,omitempty" doc:"of a batch: the command that every member gets"`
	Steps      []string `json:"steps,omitempty" doc:"of a multi-step command"`
	Signals    []string `json:"signals,omitempty" doc:"what it can be sent"`
	Schedule   string   `json:"schedule,omitempty" doc:"when it starts by itself: minute, hour, day of month, month, day of week, in UTC"`
	Parameters string   `json:"parameters" doc:"where their schema is"`
	Example    string   `json:"example"`
}

// host stands in the index's examples for where the server was reached.
const host = "{host}"

func newIndex(s *Server) ([]byte, error) {
	x := index{Version: s.version, OpenAPI: "/openapi.json", Entities: []indexEntity{}, Commands: []indexCommand{}}
	for _, e := range sorted(s.catalog.Entities) {
		x.Entities = append(x.Entities, s.indexEntity(e))
	}
	for _, c := range sorted(s.catalog.Commands) {
		x.Commands = append(x.Commands, s.indexCommand(c))
	}
	return encodeJSON(x)
}

func (s *Server) indexCommand(c *catalog.Command) indexCommand {
	p := s.commands[c.Name]
	body, _ := encodeJSON(exampleOf(p.registry, p.schema)) // it came from JSON or from tags: it cannot fail
	out := indexCommand{
		Name: c.Name, Kind: kindOf(c), Doc: c.Doc, Entity: entityOf(c), Parameters: schemaLink(p),
		Example: fmt.Sprintf("curl %s -d %s", quoted(host+"/commands/"+c.Name), quoted(string(body))),
	}
	if out.Kind == kindMultiStep {
		for _, step := range c.Steps {
			out.Steps = append(out.Steps, step.Name)
		}
	}
	if c.Batch != nil {
		out.Item = c.Batch.Item.Name
	}
	for _, w := range waits(c) {
		out.Signals = append(out.Signals, w.Signal)
	}
	if c.Schedule != nil {
		out.Schedule = c.Schedule.Cron
	}
	return out
}

// entityOf is the type of entity that a direct command is about.
func entityOf(c *catalog.Command) string {
	if d := c.Direct(); d != nil {
		return d.Entity.Type
	}
	return ""
}

func (s *Server) indexEntity(e *catalog.Entity) indexEntity {
	of := host + "/entities/" + e.Type
	out := indexEntity{
		Type: e.Type, Events: []indexEvent{}, Projections: []string{}, Classifiers: []indexClassifier{},
		Examples: []string{"curl " + quoted(of), "curl " + quoted(of+"/KEY/events")},
	}
	for _, ev := range e.Events {
		out.Events = append(out.Events, indexEvent{ev.Name, ev.Version})
	}
	for _, p := range sorted(s.catalog.Projections[e.Type]) {
		out.Projections = append(out.Projections, p.Name)
		out.Examples = append(out.Examples, "curl "+quoted(of+"/KEY/projections/"+p.Name))
	}
	for _, k := range sorted(s.catalog.Classifiers[e.Type]) {
		p := s.classifiers[k]
		out.Classifiers = append(out.Classifiers, indexClassifier{k.Name, schemaLink(p)})
		query := exampleQuery(p)
		if query != "" {
			query = "?" + query
		}
		out.Examples = append(out.Examples,
			"curl "+quoted(of+"/KEY/classifications/"+k.Name+query),
			"curl "+quoted(host+"/groups/"+e.Type+"/"+k.Name+"/members"+query))
	}
	return out
}

// exampleQuery writes an example of a classifier's parameters as they stand in
// a URL.
func exampleQuery(p *params) string {
	values := url.Values{}
	object, _ := exampleOf(p.registry, p.schema).(map[string]any)
	for name, v := range object {
		text, ok := v.(string)
		if !ok {
			raw, _ := encodeJSON(v) // it came from JSON or from tags: it cannot fail
			text = string(raw)
		}
		values.Set(name, text)
	}
	return values.Encode()
}

// schemaLink says where the schema of parameters is.
func schemaLink(p *params) string { return "/openapi.json" + p.schema.Ref }

// quoted writes an argument for a shell.
func quoted(arg string) string { return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'" }

// showIndex answers with the index, its examples for where the caller came.
func (s *Server) showIndex(w http.ResponseWriter, r *request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(bytes.ReplaceAll(s.index, []byte(host), []byte("http://"+r.Host))) // the client is gone; nobody is left to tell
	return nil
}
