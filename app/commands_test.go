package app

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

func TestDirectCommand(t *testing.T) {
	a := newAPI(t, nil)
	first := a.post("/commands/test.add", `{"counter":"c","by":5}`, "Idempotency-Key", "one")
	require.Equal(t, 200, first.status, first.body)
	require.Equal(t, "application/json", first.header.Get("Content-Type"))
	require.JSONEq(t, `{"id":"one","command":"test.add","status":"completed","entity":"test.counter","key":"c","sequence":1,"result":5}`, first.body)

	again := a.post("/commands/test.add", ` { "by" : 5.0, "counter" : "\u0063" } `, "Idempotency-Key", "one")
	require.Equal(t, first.body, again.body, "the same id with the same parameters, written differently")

	other := a.post("/commands/test.add", `{"counter":"c","by":6}`, "Idempotency-Key", "one")
	require.Equal(t, catalog.Conflict, other.problem(t).Code)

	var made actors.Answer
	a.post("/commands/test.add?wait=10s&expectedSequence=1", `{"counter":"c","by":1}`).decode(t, &made)
	require.NotEmpty(t, made.ID)
	require.EqualValues(t, 2, made.Sequence)

	require.Equal(t, catalog.Conflict, a.post("/commands/test.add?expectedSequence=1", `{"counter":"c","by":1}`).problem(t).Code)
	require.Equal(t, catalog.Conflict, a.post("/commands/test.new", `{"counter":"c","by":1}`).problem(t).Code)
}

func TestRejectedCommand(t *testing.T) {
	a := newAPI(t, nil)
	for range 2 { // the same answer to the same id
		p := a.post("/commands/test.add", `{"counter":"c","by":1001}`, "Idempotency-Key", "no").problem(t)
		require.Equal(t, catalog.Rejected, p.Code)
		require.Equal(t, "too-high", p.Reason)
		require.Equal(t, "0 and 1001 are more than 1000", p.Detail)
	}
	p := a.post("/commands/test.add", `{"counter":"c","by":1,"note":"forbidden"}`).problem(t)
	require.Equal(t, catalog.Invalid, p.Code)
	require.Equal(t, []catalog.Field{{Field: "note", Message: "must not be that"}}, p.Errors)
}

func TestBugsAreNotTold(t *testing.T) {
	a := newAPI(t, nil)
	bug := a.post("/commands/test.add", `{"counter":"c","by":1,"note":"panic"}`)
	require.Equal(t, catalog.Internal, bug.problem(t).Code)
	require.NotContains(t, bug.body, "secret")
	require.Equal(t, 200, a.post("/commands/test.add", `{"counter":"c","by":1}`).status, "the process lives")
}

func TestCommandsThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	good := `{"counter":"c","by":1}`
	long := strings.Repeat("x", 513)
	for name, test := range map[string]struct {
		path, body string
		headers    []string
		code       catalog.Code
		fields     string
	}{
		"no such command":     {"/commands/test.nothing", good, nil, catalog.NotFound, ""},
		"parameters":          {"/commands/test.add", `{"counter":"c","by":-1}`, nil, catalog.Invalid, "by"},
		"no body":             {"/commands/test.add", "", nil, catalog.Invalid, ""},
		"body too large":      {"/commands/test.add", `{"counter":"` + strings.Repeat("x", maxBody), nil, catalog.TooLarge, ""},
		"a form, really":      {"/commands/test.add", "counter=c&by=1", []string{"Content-Type", "application/x-www-form-urlencoded"}, catalog.Invalid, ""},
		"id too long":         {"/commands/test.add", good, []string{"Idempotency-Key", long}, catalog.Invalid, "Idempotency-Key"},
		"id empty":            {"/commands/test.add", good, []string{"Idempotency-Key", ""}, catalog.Invalid, "Idempotency-Key"},
		"gzip":                {"/commands/test.add", good, []string{"Content-Encoding", "identity, gzip"}, catalog.Invalid, "Content-Encoding"},
		"bulk in gzip":        {"/commands", good, []string{"Content-Encoding", "gzip"}, catalog.Invalid, "Content-Encoding"},
		"id not UTF-8":        {"/commands/test.add", good, []string{"Idempotency-Key", "a\xff"}, catalog.Invalid, "Idempotency-Key"},
		"id twice":            {"/commands/test.add", good, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, catalog.Invalid, "Idempotency-Key"},
		"context too long":    {"/commands/test.add", good, []string{"X-Who", long, "Correlation-Id", long, "Causation-Id", long}, catalog.Invalid, "Causation-Id Correlation-Id X-Who"},
		"startAt":             {"/commands/test.add?startAt=tomorrow", good, nil, catalog.Invalid, "startAt"},
		"startAt, expected":   {"/commands/test.add?startAt=2026-01-01T00:00:00Z&expectedSequence=1", good, nil, catalog.Invalid, "expectedSequence"},
		"dryRun":              {"/commands/test.add?dryRun=true", good, nil, catalog.Invalid, "dryRun"},
		"ratePerSecond":       {"/commands/test.add?ratePerSecond=1", good, nil, catalog.Invalid, "ratePerSecond"},
		"stopAfterFailures":   {"/commands/test.add?stopAfterFailures=1", good, nil, catalog.Invalid, "stopAfterFailures"},
		"unknown parameter":   {"/commands/test.add?expectedsequence=1", good, nil, catalog.Invalid, "expectedsequence"},
		"parameter twice":     {"/commands/test.add?wait=1s&wait=2s", good, nil, catalog.Invalid, "wait"},
		"wait":                {"/commands/test.add?wait=long", good, nil, catalog.Invalid, "wait"},
		"expectedSequence":    {"/commands/test.add?expectedSequence=-1", good, nil, catalog.Invalid, "expectedSequence"},
		"bad query":           {"/commands/test.add?wait=%zz", good, nil, catalog.Invalid, ""},
		"several at once":     {"/commands/test.add?wait=x&dryRun=true", good, nil, catalog.Invalid, "dryRun wait"},
		"from another site":   {"/commands/test.add", good, []string{"Sec-Fetch-Site", "cross-site"}, codeForbidden, ""},
		"from another origin": {"/commands/test.add", good, []string{"Origin", "https://example.com", "Content-Type", "text/plain"}, codeForbidden, ""},
		"bulk from elsewhere": {"/commands", good, []string{"Sec-Fetch-Site", "same-site", "Content-Type", "text/plain"}, codeForbidden, ""},
		"verify of no type":   {"/entities/test.nothing/k/verify", "", nil, catalog.NotFound, ""},
		"verify of no entity": {"/entities/test.counter/k/verify", "", nil, catalog.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := a.post(test.path, test.body, test.headers...).problem(t)
			require.Equal(t, test.code, p.Code, p.Detail)
			var fields []string
			for _, f := range p.Errors {
				fields = append(fields, f.Field)
			}
			require.Equal(t, test.fields, strings.Join(fields, " "))
		})
	}
}

// What a body is, its bytes say: curl -d sends JSON as a form.
func TestContentTypesAreNotAsked(t *testing.T) {
	a := newAPI(t, nil)
	for _, given := range []string{"", "application/x-www-form-urlencoded", "text/plain", "application/json; charset=latin1", "nonsense;;"} {
		one := a.post("/commands/test.add", `{"counter":"c","by":1}`, "Content-Type", given)
		require.Equal(t, 200, one.status, one.body)
		bulk := a.post("/commands", line("a"+given, "c", 1)+line("b"+given, "c", 1), "Content-Type", given)
		require.Equal(t, 200, bulk.status, bulk.body)
		require.Equal(t, "application/x-ndjson", bulk.header.Get("Content-Type"))
		require.Contains(t, bulk.body, `{"line":2,"id":"b`+given+`"`)
	}
}

func TestBodyAsItIs(t *testing.T) {
	a := newAPI(t, nil)
	require.Equal(t, 200, a.post("/commands/test.add", `{"counter":"c","by":1}`, "Content-Encoding", "Identity").status)
}

// A body that says it is too large is not asked for.
func TestBodyTooLargeIsNotAskedFor(t *testing.T) {
	a := newAPI(t, nil)
	conn, err := net.Dial("tcp", a.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /commands/test.add HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", maxBody+1)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
}

// Only filters and cursors may be empty: an unset variable in a script must not
// drop a precondition.
func TestEmptyParameters(t *testing.T) {
	a := newAPI(t, nil)
	require.Equal(t, 200, a.post("/commands/test.add", `{"counter":"c","by":1}`, "Idempotency-Key", "one").status)
	for _, path := range []string{
		"/commands?command=&status=&cursor=", "/commands?command=test.add&command=", "/entities/test.counter?cursor=",
		"/entities/test.counter/c/classifications/above?threshold=1&label=", "/?", // a label is text: it may be empty
	} {
		require.Equal(t, 200, a.get(path).status, path)
	}
	for path, fields := range map[string]string{
		"/commands?limit=": "limit",
		"/entities/test.counter/c/events?follow=&from=&limit=":                       "follow from limit",
		"/entities/test.counter/c/events?follow":                                     "follow",
		"/commands/test.add/one?asOf=":                                               "asOf",
		"/commands/test.add/one/events?from=":                                        "from",
		"/entities/test.counter/c/projections/count?asOf=&sequence=&consistency=":    "asOf consistency sequence",
		"/entities/test.counter/c/classifications/above?threshold=1&asOf=":           "asOf",
		"/entities/test.counter/c/classifications/above?threshold=":                  "threshold",
		"/entities/test.counter/c/classifications/above?threshold=1&label=x&labell=": "labell",
		"/?expectedSequence=":                                                        "expectedSequence",
	} {
		require.Equal(t, fields, fieldsOf(a.get(path).problem(t)), path)
	}
	for path, fields := range map[string]string{
		"/commands/test.add?expectedSequence=":                                  "expectedSequence",
		"/commands/test.add?expectedSequence=&expectedSequence=1":               "expectedSequence",
		"/commands/test.add?wait=":                                              "wait",
		"/commands/test.add?dryRun=&startAt=&ratePerSecond=&stopAfterFailures=": "dryRun ratePerSecond startAt stopAfterFailures",
	} {
		require.Equal(t, fields, fieldsOf(a.post(path, `{"counter":"c","by":1}`).problem(t)), path)
	}
}

func fieldsOf(p problem) string {
	var fields []string
	for _, f := range p.Errors {
		fields = append(fields, f.Field)
	}
	return strings.Join(fields, " ")
}

func TestHeadersThatAreEmpty(t *testing.T) {
	a := newAPI(t, nil)
	for _, name := range []string{"X-Who", "Correlation-Id", "Causation-Id", "Idempotency-Key"} {
		p := a.post("/commands/test.add", `{"counter":"c","by":1}`, name, "").problem(t)
		message := "the header " + name + " is empty: give it at least 1 character, or leave it out"
		require.Equal(t, []catalog.Field{{Field: name, Message: message}}, p.Errors)
		p = a.post("/commands/test.add", `{"counter":"c","by":1}`, name, strings.Repeat("x", 513)).problem(t)
		require.Equal(t, "the header "+name+" is 513 bytes long; at most 512 are allowed", p.Errors[0].Message)
	}
}

func TestContextOfACommand(t *testing.T) {
	a := newAPI(t, nil)
	a.post("/commands/test.add", `{"counter":"c","by":1}`, "Idempotency-Key", "one",
		"X-Who", "žofie", "Correlation-Id", "cor/1", "Causation-Id", "cause")
	a.post("/commands/test.add", `{"counter":"c","by":1}`, "Idempotency-Key", "two")
	var page eventPage
	a.get("/entities/test.counter/c/events").decode(t, &page)
	require.Len(t, page.Items, 2)
	c := page.Items[0].Context
	require.Equal(t, []string{"žofie", "http", "cor/1", "cause"}, []string{c.Who, c.Source, c.CorrelationID, c.CausationID})
	require.Equal(t, "two", page.Items[1].Context.CorrelationID, "a request without a correlation begins one")
}

func TestRecordedCommands(t *testing.T) {
	a := newAPI(t, nil)
	id := "a/b?c%2F.. ☃"
	a.post("/commands/test.add", `{"counter":"c","by":1}`, "Idempotency-Key", id)
	a.post("/commands/test.add", `{"counter":"c","by":5000}`, "Idempotency-Key", "no")
	path := "/commands/test.add/a%2Fb%3Fc%252F..%20%E2%98%83"

	var p flow.Progress
	a.get(path).decode(t, &p)
	require.Equal(t, []string{id, "test.add", "completed"}, []string{p.ID, p.Command, p.Status})
	require.JSONEq(t, `{"by":1,"counter":"c"}`, string(p.Parameters))
	require.NotContains(t, a.get(path).body, `"steps":null`)

	var events eventPage
	a.get(path+"/events?limit=2").decode(t, &events)
	require.Equal(t, []string{"created", "parameters-set"}, []string{events.Items[0].Name, events.Items[1].Name})
	require.EqualValues(t, 3, events.Next)
	a.get(path+"/events?from=3").decode(t, &events)
	require.EqualValues(t, 3, events.Items[0].Sequence)

	var all page[flow.Progress]
	first := a.get("/commands?limit=1")
	first.decode(t, &all)
	require.Equal(t, "no", all.Items[0].ID, "newest first")
	require.NotEmpty(t, all.Next)
	a.get("/commands?limit=1&cursor="+all.Next).decode(t, &all)
	require.Equal(t, id, all.Items[0].ID)
	a.get("/commands?status=rejected&command=test.add").decode(t, &all)
	require.Len(t, all.Items, 1)
	require.JSONEq(t, `{"items":[]}`, a.get("/commands?status=failed").body)

	for _, action := range []string{"cancel", "pause", "resume", "retry-failed", "signal/go"} {
		require.Equal(t, catalog.Conflict, a.post(path+"/"+action, "").problem(t).Code)
		require.Equal(t, catalog.NotFound, a.post("/commands/test.add/unknown/"+action, "").problem(t).Code)
	}
	for path, code := range map[string]catalog.Code{
		"/commands?status=done":                                 catalog.Invalid,
		"/commands?command=test.nothing":                        catalog.NotFound,
		"/commands?cursor=nonsense":                             catalog.Invalid,
		"/commands?limit=0":                                     catalog.Invalid,
		"/commands?limit=1001":                                  catalog.Invalid,
		"/commands/test.add/unknown":                            catalog.NotFound,
		"/commands/test.new/no":                                 catalog.NotFound, // it is another command's
		"/commands/test.new/no/events":                          catalog.NotFound,
		"/commands/test.nothing/no":                             catalog.NotFound,
		"/commands/test.add/no?asOf=yesterday":                  catalog.Invalid,
		"/commands/test.add/no?asOf=2999-01-01T00:00:00Z":       catalog.Invalid,
		"/commands/test.add/no?asOf=2001-01-01T00:00:00Z":       catalog.NotFound,
		"/commands/test.add/no/events?from=0":                   catalog.Invalid,
		"/commands/test.add/" + strings.Repeat("x", 513):        catalog.Invalid,
		"/commands/test.add/a%00":                               catalog.Invalid,
		"/commands/test.add/no/events?follow=maybe":             catalog.Invalid,
		"/commands/test.add/no/events?follow=true&from=letters": catalog.Invalid,
	} {
		require.Equal(t, code, a.get(path).problem(t).Code, path)
	}
}

func TestPathsThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	for _, path := range []string{
		"/nothing", "/commands/", "/commands//x", "/commands/test.add/x/y/z", "/entities", "/entities/", "/entities/test.counter/", "//", "//healthz", "/./healthz",
		"/x/../healthz", "/%2E%2E/healthz", "/healthz/", "/healthz/.", "/healthz%2F", "/%2F", "/.", "/..", "/queries/x",
	} {
		require.Equal(t, catalog.NotFound, a.get(path).problem(t).Code, path)
	}
	for path, field := range map[string]string{
		"/commands/test.add/": "id", "/commands/test.add//events": "id", "/entities/test.counter//events": "key", "/entities/test.counter//projections/count": "key",
	} {
		empty := a.get(path).problem(t)
		require.Equal(t, catalog.Invalid, empty.Code, path)
		require.Equal(t, []catalog.Field{{Field: field, Message: "the key is empty"}}, empty.Errors, path)
	}
	wrong := a.call("DELETE", "/commands", "")
	require.Equal(t, catalog.NotFound, wrong.problem(t).Code)
	require.Equal(t, "GET, POST", wrong.header.Get("Allow"))
	require.Equal(t, "POST", a.get("/commands/test.add").header.Get("Allow"))
	head, err := http.Head(a.URL + "/healthz")
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, 200, head.StatusCode)
}

func TestSaturation(t *testing.T) {
	a := newAPI(t, nil)
	s := &slow{Runtime: a.runtime, started: make(chan actors.Command), let: make(chan struct{})}
	a = newAPIOver(t, testDomain(), s, func(o *Options) { o.Limits.Requests = 2 })
	answers := make(chan answer)
	for i := range 2 {
		go func() { answers <- a.post("/commands/test.add", fmt.Sprintf(`{"counter":"%d","by":1}`, i)) }()
		<-s.started
	}
	full := a.get("/entities/test.counter")
	require.Equal(t, catalog.Unavailable, full.problem(t).Code)
	require.NotEmpty(t, full.header.Get("Retry-After"))
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json"} {
		require.Equal(t, 200, a.get(path).status, path)
	}
	close(s.let)
	for range 2 {
		require.Equal(t, 200, (<-answers).status)
	}
	require.Equal(t, 200, a.get("/entities/test.counter").status)
}
