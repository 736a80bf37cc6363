package app

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each command's operation takes the options of its kind and no others, and each
// signal has one with the schema of its payload.
func TestOpenAPIOfEveryKind(t *testing.T) {
	a := newRunsAPI(t)
	var d map[string]any
	got := a.get("/openapi.json")
	got.decode(t, &d)
	walkRefs(t, d, d)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct{ Name, In string }
			RequestBody *struct {
				Content map[string]struct{ Schema map[string]any }
			} `json:"requestBody"`
			Responses map[string]struct {
				Headers map[string]any
				Content map[string]struct{ Schema map[string]any }
			}
		}
	}
	got.decode(t, &doc)
	for command, params := range map[string][]string{
		"runs.add":     {"expectedSequence", "startAt", "wait"},
		"runs.move":    {"startAt", "wait"},
		"runs.add-all": {"dryRun", "ratePerSecond", "startAt", "stopAfterFailures", "wait"},
	} {
		op := doc.Paths["/commands/"+command]["post"]
		var names []string
		for _, p := range op.Parameters {
			if p.In == "query" {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		require.Equal(t, params, names, command)
		require.Contains(t, op.Responses["202"].Headers, "Location")
		require.Contains(t, op.Responses, "200")
		answer := op.Responses["200"].Content["application/json"].Schema
		if command == "runs.add" {
			require.Len(t, answer["oneOf"], 2, "at once, or later")
		} else {
			require.Contains(t, answer["properties"], "steps", "the progress")
		}
	}
	approve := doc.Paths["/commands/runs.ask/{id}/signal/approve"]["post"]
	require.Equal(t, "runs.ask.approve", approve.OperationID)
	require.NotEmpty(t, approve.RequestBody.Content["application/json"].Schema)
	require.Nil(t, doc.Paths["/commands/runs.ask/{id}/signal/go"]["post"].RequestBody)
	for _, path := range []string{"cancel", "pause", "resume", "retry-failed", "signal/{name}"} {
		require.Contains(t, doc.Paths["/commands/{command}/{id}/"+path]["post"].Responses, "202", path)
	}
	require.Contains(t, doc.Paths["/commands/{command}/{id}/failures"]["get"].Responses, "200")
}
