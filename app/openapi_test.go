package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
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
			require.Contains(t, op["responses"], "200")
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
