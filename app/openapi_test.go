package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The document is whole: every reference leads somewhere, ids are unique, the
// variables of a path are described, and every command has an operation whose
// example the command takes.
func TestOpenAPI(t *testing.T) {
	a := newAPI(t, nil)
	got := a.get("/openapi.json")
	require.Equal(t, 200, got.status)
	var d map[string]any
	got.decode(t, &d)
	require.Equal(t, "3.1.0", d["openapi"])

	ids := map[string]bool{}
	paths := d["paths"].(map[string]any)
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			id := op["operationId"].(string)
			require.False(t, ids[id], id)
			ids[id] = true
			var described []string
			parameters, _ := op["parameters"].([]any)
			for _, p := range parameters {
				if p := p.(map[string]any); p["in"] == "path" {
					described = append(described, "{"+p["name"].(string)+"}")
				}
			}
			var there []string
			for _, segment := range strings.Split(path, "/") {
				if variable(segment) {
					there = append(there, segment)
				}
			}
			require.ElementsMatch(t, there, described, "%s %s", method, path)
			responses := op["responses"].(map[string]any)
			require.True(t, responses["200"] != nil || responses["202"] != nil, "%s %s", method, path)
			require.Contains(t, op["responses"], "default")
		}
	}
	walkRefs(t, d, d)

	for name := range a.edge.catalog.Commands {
		op := paths["/commands/"+name].(map[string]any)["post"].(map[string]any)
		content := op["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)
		require.NotNil(t, content["schema"])
		example, err := json.Marshal(content["example"])
		require.NoError(t, err)
		done := newAPI(t, nil).post("/commands/"+name, string(example))
		require.Equal(t, 200, done.status, "%s with %s: %s", name, example, done.body)
	}
	require.Equal(t, "Adds to a counter.", paths["/commands/test.add"].(map[string]any)["post"].(map[string]any)["description"])
}

func walkRefs(t *testing.T, d map[string]any, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			var at any = d
			for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				at = at.(map[string]any)[part]
			}
			require.NotNil(t, at, ref)
		}
		for _, inner := range v {
			walkRefs(t, d, inner)
		}
	case []any:
		for _, inner := range v {
			walkRefs(t, d, inner)
		}
	}
}

// The lists of an answer are never null, and the document does not say that they
// are. What a duration is, no format of JSON Schema says.
func TestOpenAPIOfAnswers(t *testing.T) {
	type parameter struct {
		Name, Description string
		Schema            struct{ Format, Pattern string }
	}
	var d struct {
		Paths map[string]map[string]struct {
			Parameters []parameter
			Responses  map[string]struct {
				Content map[string]struct{ Schema map[string]any }
			}
		}
		Components struct{ Schemas map[string]any }
	}
	newAPI(t, nil).get("/openapi.json").decode(t, &d)
	seen := map[string]bool{}
	var lists int
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !seen[ref] {
				seen[ref] = true
				walk(ref, d.Components.Schemas[strings.TrimPrefix(ref, schemaPrefix)])
			}
			if types, ok := v["type"].([]any); ok {
				require.NotContains(t, types, "array", where)
			}
			if v["type"] == "array" {
				lists++
			}
			for name, inner := range v {
				walk(where+"."+name, inner)
			}
		case []any:
			for _, inner := range v {
				walk(where, inner)
			}
		}
	}
	for path, operations := range d.Paths {
		for method, op := range operations {
			for _, response := range op.Responses {
				for _, content := range response.Content {
					walk(method+" "+path, content.Schema)
				}
			}
		}
	}
	require.Greater(t, lists, 8)

	all := d.Paths["/commands/test.add"]["post"].Parameters
	wait := all[slices.IndexFunc(all, func(p parameter) bool { return p.Name == "wait" })]
	require.Empty(t, wait.Schema.Format)
	require.Contains(t, wait.Description, "10s")
	pattern := regexp.MustCompile(wait.Schema.Pattern)
	for _, text := range []string{"10s", "1m30s", "500ms", "1.5h", "0"} {
		require.Regexp(t, pattern, text)
	}
	for _, text := range []string{"", "10", "PT10S", "-1s", "long"} {
		require.NotRegexp(t, pattern, text)
	}
}

func TestIndex(t *testing.T) {
	a := newAPI(t, nil)
	var x index
	a.get("/").decode(t, &x)
	require.Len(t, x.Entities, 1)
	e := x.Entities[0]
	require.Equal(t, "test.counter", e.Type)
	require.Equal(t, []indexEvent{{"counted", 1}}, e.Events)
	require.Equal(t, []string{"count"}, e.Projections)
	require.Equal(t, []indexClassifier{{"above", "/openapi.json#/components/schemas/Above"}}, e.Classifiers)
	var names []string
	for _, c := range x.Commands {
		names = append(names, c.Name)
		require.Contains(t, c.Parameters, "/openapi.json#/components/schemas/")
		require.Contains(t, c.Example, a.URL+"/commands/"+c.Name)
	}
	require.Equal(t, []string{"test.add", "test.everything", "test.new"}, names)
	require.True(t, slices.ContainsFunc(e.Examples, func(s string) bool {
		return strings.Contains(s, "/entities/test.counter/KEY/classifications/above?threshold=1")
	}), e.Examples)
}

// The examples of GET / are for a shell: one runs them.
func TestExamplesRun(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	for i := range exampleCalls(newAPI(t, nil)) {
		a := newAPI(t, nil)
		a.post("/commands/test.add", `{"counter":"KEY","by":1}`)
		example := exampleCalls(a)[i]
		status := strings.Replace(example, "curl ", curl+" -s -o /dev/null -w '%{http_code}' ", 1)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", status).CombinedOutput()
		require.NoError(t, err, example)
		require.Equal(t, fmt.Sprint(http.StatusOK), string(out), example)
	}
}

func exampleCalls(a *api) []string {
	a.t.Helper()
	var x index
	a.get("/").decode(a.t, &x)
	calls := x.Entities[0].Examples
	for _, c := range x.Commands {
		calls = append(calls, c.Example)
	}
	return calls
}

// A direct command answers at once, or with its progress if it was to start
// later: the document knows both, and tells them apart.
func TestOpenAPIOfDirectCommands(t *testing.T) {
	a := newRunsAPI(t)
	type shape struct {
		Required   []string
		Properties map[string]any
	}
	var d struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema struct{ OneOf []shape } }
			}
		}
	}
	a.get("/openapi.json").decode(t, &d)
	shapes := d.Paths["/commands/runs.add"]["post"].Responses["200"].Content["application/json"].Schema.OneOf
	require.Len(t, shapes, 2)
	const body = `{"counter":"a","by":1}`
	for i, got := range []answer{
		a.post("/commands/runs.add", body),
		a.post("/commands/runs.add?startAt=2001-01-01T00:00:00Z&wait=30s", body),
	} {
		require.Equal(t, 200, got.status, got.body)
		var fields map[string]any
		got.decode(t, &fields)
		fits := func(s shape) bool {
			for _, name := range s.Required {
				if fields[name] == nil {
					return false
				}
			}
			for name := range fields {
				if s.Properties[name] == nil {
					return false
				}
			}
			return true
		}
		require.True(t, fits(shapes[i]), got.body)
		require.False(t, fits(shapes[1-i]), got.body)
	}
}
