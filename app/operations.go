package app

import (
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// operations is every call of the API.
func (s *Server) operations() []*operation {
	paramCommand := urlParam{name: "command", doc: "only those of this name", schema: huma.Schema{Type: huma.TypeString}, empty: emptyIsAbsent}
	paramStatus := urlParam{name: "status", doc: "only those with this status", schema: huma.Schema{Type: huma.TypeString, Enum: statuses}, empty: emptyIsAbsent}
	get, post := http.MethodGet, http.MethodPost
	operations := []*operation{
		{
			id: "index", method: get, path: "/", handle: s.showIndex, answer: index{},
			summary: "Names every entity type and every command, with example calls",
		},
		{
			id: "openapi", method: get, path: "/openapi.json", handle: s.showOpenAPI, exempt: true, hidden: true,
		},
		{
			id: "healthz", method: get, path: "/healthz", handle: s.healthz, exempt: true, answer: health{},
			summary: "Says that the process lives",
		},
		{
			id: "readyz", method: get, path: "/readyz", handle: s.readyz, exempt: true, answer: readiness{},
			summary: "Says whether the system can serve",
		},
		{
			id: "metrics", method: get, path: "/metrics", handle: s.showMetrics, exempt: true,
			summary: "Measurements for Prometheus",
		},
		{
			id: "post-commands", method: post, path: "/commands", handle: s.postCommands,
			stream:  func(*request) bool { return true },
			headers: []string{headerCorrelation, headerCausation, headerWho},
			summary: "Runs commands, a line of NDJSON each; answers in the same order",
		},
		{
			id: "list-commands", method: get, path: "/commands", handle: s.listCommands, answer: page[flow.Progress]{},
			query:   []urlParam{paramCommand, paramStatus, paramCursor, paramLimit},
			summary: "Lists recorded commands, newest first",
		},
		{ // one operation for each command in the document
			id: "post-command", method: post, path: "/commands/{command}", handle: s.postCommand, answer: actors.Answer{}, hidden: true,
			headers: []string{headerID, headerCorrelation, headerCausation, headerWho},
			query:   commandParamsInURL(),
		},
		{
			id: "get-command", method: get, path: "/commands/{command}/{id}", handle: s.getCommand, answer: flow.Progress{},
			query:   []urlParam{paramAsOf},
			summary: "Tells how far a recorded command is",
		},
		{
			id: "get-command-failures", method: get, path: "/commands/{command}/{id}/failures", handle: s.failures, answer: page[failure]{},
			query:   []urlParam{paramCursor, paramLimit},
			summary: "Lists the failed items of a batch; of a command that is none, a conflict",
		},
		{
			id: "get-command-events", method: get, path: "/commands/{command}/{id}/events", handle: s.commandEvents, answer: eventPage{},
			query: []urlParam{paramFrom, paramLimit, paramFollow}, stream: following,
			summary: "Reads a recorded command's own stream",
		},
		{
			id: "list-entities", method: get, path: "/entities/{type}", handle: s.listEntities, answer: page[string]{},
			query:   []urlParam{paramCursor, paramLimit},
			summary: "Lists the keys of an entity type",
		},
		{
			id: "get-entity-events", method: get, path: "/entities/{type}/{key}/events", handle: s.entityEvents, answer: eventPage{},
			query: []urlParam{paramFrom, paramLimit, paramFollow}, stream: following,
			summary: "Reads an entity's stream",
		},
		{
			id: "project-entity", method: get, path: "/entities/{type}/{key}/projections/{projection}", handle: s.project, answer: actors.State{},
			query: []urlParam{
				paramAsOf,
				{name: "sequence", doc: "the state after this event", schema: huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(0.0)}},
				{name: "consistency", doc: "strong looks whether the entity moved meanwhile", schema: huma.Schema{Type: huma.TypeString, Enum: []any{"strong"}}},
			},
			summary: "Tells an entity's state in one projection",
		},
		{
			id: "classify-entity", method: get, path: "/entities/{type}/{key}/classifications/{classifier}", handle: s.classify, answer: judgement{},
			query: []urlParam{paramAsOf}, anyQuery: true,
			summary: "Tells what a classifier says of an entity; the classifier's parameters are URL parameters too",
		},
		{
			id: "list-members", method: get, path: "/groups/{type}/{classifier}/members", handle: s.listMembers, answer: page[string]{},
			query: []urlParam{paramAsOf, paramCursor, paramLimit}, anyQuery: true,
			summary: "Lists the keys that a classifier includes, now or then; its parameters are URL parameters too. Only the page without next is the last",
		},
		{
			id: "verify-entity", method: post, path: "/entities/{type}/{key}/verify", handle: s.verify, answer: verification{},
			summary: "Checks an entity's stream from end to end",
		},
	}
	headers := []string{headerCorrelation, headerCausation, headerWho}
	for _, do := range actions {
		operations = append(operations, &operation{
			id: do.name + "-command", method: post, path: "/commands/{command}/{id}/" + do.name, handle: s.act(do),
			answer: accepted{}, status: http.StatusAccepted, headers: headers, summary: do.summary,
		})
	}
	return append(operations, &operation{ // one operation for each signal in the document
		id: "signal-command", method: post, path: "/commands/{command}/{id}/signal/{name}", handle: s.signal,
		answer: accepted{}, status: http.StatusAccepted, headers: headers,
		summary: "Sends a command a signal: " + catalog.SignalRetryCompensation + ", which every command knows, or one that it declares",
	})
}

// durationPattern is a duration as Go writes it.
const durationPattern = `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`

// commandParamsInURL is what POST /commands/{command} knows.
func commandParamsInURL() []urlParam {
	return []urlParam{
		{
			name: paramExpected, doc: "refuses, as a conflict, unless the entity's sequence is this",
			schema: huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(0.0)},
		},
		{
			name: "wait", doc: "how long to wait for the end, such as 10s, 500ms or 1m30s; a minute at most, more is taken for that",
			schema: huma.Schema{Type: huma.TypeString, Pattern: durationPattern, Examples: []any{"10s"}},
		},
		{
			name: optStartAt, doc: "starts the command then, and answers 202 at once",
			schema: huma.Schema{Type: huma.TypeString, Format: "date-time"},
		},
		{
			name: optDryRun, doc: "decides for every item, and appends nothing",
			schema: huma.Schema{Type: huma.TypeBoolean},
		},
		{
			name: optRatePerSecond, doc: "how many items begin in a second at most",
			schema: huma.Schema{Type: huma.TypeNumber, Minimum: new(minRate)},
		},
		{
			name: optStopAfterFailures, doc: "lets no new item begin after so many have failed",
			schema: huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0), Maximum: new(float64(math.MaxInt32))},
		},
	}
}

// inURL says whether a parameter of POST /commands/{command} means anything for
// a command.
func inURL(c *catalog.Command, param string) bool {
	switch param {
	case paramExpected:
		return c.Direct() != nil
	case "wait":
		return true
	}
	return takes(c, param)
}
