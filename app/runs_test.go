package app

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// Commands that run on, on a real engine in this process.
type (
	move struct {
		From counterID `json:"from"`
		To   counterID `json:"to"`
		By   int       `json:"by" minimum:"1"`
	}
	approval struct {
		By   string `json:"by" minLength:"1"`
		More int    `json:"more,omitempty"`
	}
	addAll struct {
		By int `json:"by" minimum:"1"`
	}
)

func (m move) source() counterID { return m.From }
func (m move) target() counterID { return m.To }

func runsDomain() es.Domain {
	counter := es.NewEntity[counterID]("counter", es.EventOf[counted]())
	total := es.NewProjection(counter, "count", es.On(count))
	addOne := es.NewCommand("add", es.Decide("add", add.on, total, decideAdd)).Valid(func(p add) error {
		switch p.Note {
		case "bad":
			return es.Invalid("note", "must not be bad")
		case "worse":
			return es.Reject("worse", "it is worse")
		case "broken":
			panic("secret of the inside")
		}
		return nil
	})
	take := es.Decide("take", move.source, total, func(n int, c es.Call[move]) (es.Events, es.None, error) {
		if n < c.In.By {
			return nil, es.None{}, es.Reject("too-low", "%d is less than %d", n, c.In.By)
		}
		return es.Events{counted{By: -c.In.By}}, es.None{}, nil
	}).Undo("give-back", func(c es.Call[move]) es.Events { return es.Events{counted{By: c.In.By}} })
	give := es.Decide("give", move.target, total, func(n int, c es.Call[move]) (es.Events, int, error) {
		return es.Events{counted{By: c.In.By}}, n + c.In.By, nil
	})
	notItself := func(m move) error {
		if m.From == m.To {
			return es.Invalid("to", "must not be from")
		}
		return nil
	}
	hour := func(es.Call[move]) time.Duration { return time.Hour }
	return es.NewDomain("runs", counter, total, addOne,
		es.NewCommand("move", take, give).Doc("Moves from one counter to another.").Valid(notItself),
		es.NewCommand("ask", take, es.Wait[move, approval]("wait", "approve", hour), es.Wait[move, es.None]("wait-more", "go", hour).OrGoOn(), give),
		es.NewBatch("add-all", func(es.Call[addAll]) es.Group[counterID] { return counter.All() }, addOne,
			func(c es.Call[addAll], k counterID) add { return add{Counter: k, By: c.In.By} }).
			Cron("30 1 29 2 *", func(time.Time) addAll { return addAll{1} }))
}

// newRunsAPI is a server over a system whose commands run on.
func newRunsAPI(t *testing.T) *api {
	t.Helper()
	domain := runsDomain()
	system, err := actors.New([]*catalog.Domain{domain.Catalog()}, stream.NewMemory(), nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(system.Close)
	require.NoError(t, system.Begin(t.Context()))
	engine, err := workflows.NewEmbeddedEngine(t.Context(), workflows.EmbeddedConfig{SQLite: filepath.Join(t.TempDir(), "engine.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	commands := workflows.New(system, engine, workflows.Config{})
	require.NoError(t, commands.Begin(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), waitLong)
		defer cancel()
		require.NoError(t, commands.Close(ctx))
	})
	return newAPIOver(t, domain, Whole{system, commands}, nil)
}

// ended waits for the end of a command.
func (a *api) ended(command, id string) (p flow.Progress) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		got := a.get("/commands/" + command + "/" + segment(id))
		require.Equal(a.t, 200, got.status, got.body)
		got.decode(a.t, &p)
		return p.Ended()
	}, waitLong, waitStep)
	return p
}

func (a *api) count(counter string) string {
	a.t.Helper()
	var s actors.State
	a.get("/entities/runs.counter/"+counter+"/projections/count").decode(a.t, &s)
	return string(s.State)
}

// seed gives counters a start.
func (a *api) seed(by int, counters ...string) {
	a.t.Helper()
	for _, c := range counters {
		done := a.post("/commands/runs.add", fmt.Sprintf(`{"counter":%q,"by":%d}`, c, by))
		require.Equal(a.t, 200, done.status, done.body)
	}
}

func TestCommandThatRunsOn(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	id := "x/y ?.."
	path := "/commands/runs.move/x%2Fy%20%3F.."

	started := a.post("/commands/runs.move", `{"from":"a","to":"b","by":4}`, "Idempotency-Key", id, "X-Who", "someone")
	require.Equal(t, 202, started.status, started.body)
	require.Equal(t, path, started.header.Get("Location"))
	var answer accepted
	started.decode(t, &answer)
	require.Equal(t, accepted{id, "runs.move", answer.Status}, answer)
	require.Contains(t, statuses, any(answer.Status))

	p := a.ended("runs.move", id)
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.Equal(t, []string{"6", "4"}, []string{a.count("a"), a.count("b")})
	require.Equal(t, "4", string(p.Result))

	again := a.post("/commands/runs.move", `{"by":4.0,"from":"a","to":"b"}`, "Idempotency-Key", id)
	require.Equal(t, 202, again.status, again.body)
	require.JSONEq(t, `{"id":"x/y ?..","command":"runs.move","status":"completed"}`, again.body, "the status as it is now")
	require.Equal(t, path, again.header.Get("Location"))
	waited := a.post("/commands/runs.move?wait=10s", `{"by":4,"from":"a","to":"b"}`, "Idempotency-Key", id)
	require.Equal(t, 200, waited.status)
	require.JSONEq(t, a.get(path).body, waited.body)
	require.Equal(t, "6", a.count("a"), "it ran once")

	require.Equal(t, catalog.Conflict, a.post("/commands/runs.move", `{"by":5,"from":"a","to":"b"}`, "Idempotency-Key", id).problem(t).Code)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.move?startAt=2001-01-01T00:00:00Z", `{"by":4,"from":"a","to":"b"}`, "Idempotency-Key", id).problem(t).Code, "other options")
	require.Equal(t, "someone", firstEvent(t, a, path).Context.Who)
}

func firstEvent(t *testing.T, a *api, path string) event {
	t.Helper()
	var page eventPage
	a.get(path+"/events?limit=1").decode(t, &page)
	return page.Items[0]
}

// An id is one command's, whatever the others are called and however they run.
func TestIDsAreUniqueAcrossKinds(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	const direct, runsOn = `{"counter":"a","by":1}`, `{"from":"a","to":"b","by":1}`
	require.Equal(t, 200, a.post("/commands/runs.add", direct, "Idempotency-Key", "one").status)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.move", runsOn, "Idempotency-Key", "one").problem(t).Code)
	require.Equal(t, 202, a.post("/commands/runs.move", runsOn, "Idempotency-Key", "two").status)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.add", direct, "Idempotency-Key", "two").problem(t).Code)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.ask", runsOn, "Idempotency-Key", "two").problem(t).Code)
	require.Equal(t, catalog.NotFound, a.get("/commands/runs.ask/two").problem(t).Code)
	require.Equal(t, catalog.NotFound, a.post("/commands/runs.ask/two/cancel", "").problem(t).Code)
}

func TestWaitForTheEnd(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	done := a.post("/commands/runs.move?wait=30s", `{"from":"a","to":"b","by":4}`, "Idempotency-Key", "one")
	require.Equal(t, 200, done.status, done.body)
	require.JSONEq(t, a.get("/commands/runs.move/one").body, done.body)
	require.Empty(t, done.header.Get("Location"))

	failed := a.post("/commands/runs.move?wait=30s", `{"from":"a","to":"b","by":40}`)
	require.Equal(t, 200, failed.status, "it has ended")
	var p flow.Progress
	failed.decode(t, &p)
	require.Equal(t, flow.StatusFailed, p.Status)
	require.Equal(t, "too-low", p.Error.Reason)

	late := a.post("/commands/runs.ask?wait=1ms", `{"from":"a","to":"b","by":1}`)
	require.Equal(t, 202, late.status, late.body)

	answers := make(chan answer)
	go func() {
		answers <- a.post("/commands/runs.ask?wait=60s", `{"from":"a","to":"b","by":1}`, "Idempotency-Key", "waits")
	}()
	require.Eventually(t, func() bool { return a.get("/commands/runs.ask/waits").status == 200 }, waitLong, waitStep)
	require.Equal(t, 202, a.post("/commands/runs.ask/waits/cancel", "").status)
	ended := <-answers
	require.Equal(t, 200, ended.status, ended.body)
	require.Contains(t, ended.body, `"status":"cancelled"`)

	go func() { answers <- a.post("/commands/runs.ask?wait=60s", `{"from":"a","to":"b","by":1}`) }()
	require.Eventually(t, func() bool { // it has begun to wait
		var page page[flow.Progress]
		a.get("/commands?command=runs.ask").decode(t, &page)
		return len(page.Items) == 3
	}, waitLong, waitStep)
	a.edge.Drain()
	require.Equal(t, 202, (<-answers).status, "a server that stops waits no longer")
}

// A wait is longer than a body may take: that deadline must not end the request.
func TestBodyLeavesNoDeadline(t *testing.T) {
	a := newAPI(t, nil)
	w := &deadlines{}
	r, err := parseQuery("", nil)
	require.NoError(t, err)
	in := a.request("POST", "/commands/test.add", `{}`)
	_, err = readBody(w, &request{in, r})
	require.NoError(t, err)
	require.Len(t, w.read, 2)
	require.False(t, w.read[0].IsZero())
	require.True(t, w.read[1].IsZero())
}

func TestActions(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	const body = `{"from":"a","to":"b","by":1}`
	waiting := func(id string) string {
		path := "/commands/runs.ask/" + id
		require.Equal(t, 202, a.post("/commands/runs.ask", body, "Idempotency-Key", id).status)
		require.Eventually(t, func() bool {
			var p flow.Progress
			a.get(path).decode(t, &p)
			return p.Status == flow.StatusWaiting
		}, waitLong, waitStep)
		return path
	}

	one := waiting("one")
	for payload, fields := range map[string]string{``: "", `{}`: "by", `{"by":""}`: "by", `{"by":"x","more":"1","most":2}`: "more most", `[]`: "", `x`: ""} {
		p := a.post(one+"/signal/approve", payload).problem(t)
		require.Equal(t, catalog.Invalid, p.Code, payload)
		if fields != "" {
			require.Equal(t, fields, fieldsOf(p))
		}
	}
	for _, conflict := range []string{"/signal/nothing", "/signal/retry-compensation", "/pause", "/resume", "/retry-failed"} {
		require.Equal(t, catalog.Conflict, a.post(one+conflict, "").problem(t).Code, conflict)
	}
	early := a.post(one+"/signal/go", "", "X-Who", "someone")
	require.Equal(t, 202, early.status, early.body)
	require.Equal(t, one, early.header.Get("Location"))
	require.JSONEq(t, `{"id":"one","command":"runs.ask","status":"waiting"}`, early.body)
	require.Equal(t, 202, a.post(one+"/signal/approve", ` {"more": 1.0, "by": "me"}`).status)
	require.Equal(t, flow.StatusCompleted, a.ended("runs.ask", "one").Status)
	var events eventPage
	a.get(one+"/events").decode(t, &events)
	var signals []event
	for _, e := range events.Items {
		if e.Name == flow.EventSignalled {
			signals = append(signals, e)
		}
	}
	require.Len(t, signals, 2)
	require.Equal(t, "someone", signals[0].Context.Who)
	require.JSONEq(t, `{"signal":"approve","payload":{"by":"me","more":1}}`, string(signals[1].Data))
	for _, late := range []string{"/signal/approve", "/signal/nothing", "/cancel", "/pause", "/resume", "/retry-failed"} {
		payload := map[bool]string{true: `{"by":"me"}`}[late == "/signal/approve"]
		require.Equal(t, catalog.Conflict, a.post(one+late, payload).problem(t).Code, late)
	}

	two := waiting("two")
	require.Equal(t, catalog.Invalid, a.post(two+"/cancel", "", "X-Who", "").problem(t).Code)
	require.Equal(t, 202, a.post(two+"/cancel", "").status)
	require.Equal(t, flow.StatusCancelled, a.ended("runs.ask", "two").Status)
	require.Equal(t, "9", a.count("a"), "what was taken is given back")

	for path, code := range map[string]catalog.Code{
		"/commands/runs.ask/none/cancel":      catalog.NotFound,
		"/commands/runs.ask/none/signal/go":   catalog.NotFound,
		"/commands/runs.none/one/cancel":      catalog.NotFound,
		"/commands/runs.none/one/signal/go":   catalog.NotFound,
		"/commands/runs.ask/a%00/cancel":      catalog.Invalid,
		"/commands/runs.ask/one/cancel?now=1": catalog.Invalid,
	} {
		require.Equal(t, code, a.post(path, "").problem(t).Code, path)
	}
}

func TestBatch(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a", "b")
	a.seed(999, "full")
	done := a.post("/commands/runs.add-all?wait=30s&ratePerSecond=1000&stopAfterFailures=50&dryRun=false", `{"by":5}`, "Idempotency-Key", "all")
	require.Equal(t, 200, done.status, done.body)
	var p flow.Progress
	done.decode(t, &p)
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, flow.Items{Total: 3, Succeeded: 2, Failed: 1}, *p.Items)
	const path = "/commands/runs.add-all/all"
	require.JSONEq(t, `{"items":[{"key":"full","reason":"too-high","detail":"999 and 5 are more than 1000","attempts":1}]}`, a.get(path+"/failures").body)
	require.Equal(t, 202, a.post(path+"/retry-failed", "").status)
	require.Equal(t, flow.StatusCompletedWithFailures, a.ended("runs.add-all", "all").Status)

	dry := a.post("/commands/runs.add-all?wait=30s&dryRun=true", `{"by":5}`)
	require.Equal(t, 200, dry.status, dry.body)
	require.Equal(t, []string{"15", "15"}, []string{a.count("a"), a.count("b")})

	require.Equal(t, 202, a.post("/commands/runs.move", `{"from":"a","to":"b","by":1}`, "Idempotency-Key", "move").status)
	require.Equal(t, catalog.Conflict, a.get("/commands/runs.move/move/failures").problem(t).Code)
	for path, code := range map[string]catalog.Code{
		"/commands/runs.move/none/failures":       catalog.NotFound,
		"/commands/runs.add-all/none/failures":    catalog.NotFound,
		"/commands/runs.none/all/failures":        catalog.NotFound,
		path + "/failures?limit=0":                catalog.Invalid,
		path + "/failures?cursor=nonsense":        catalog.Invalid,
		"/commands/runs.add-all/a%00/failures":    catalog.Invalid,
		"/commands/runs.add-all/move/failures":    catalog.NotFound,
		"/commands/runs.add-all/all/failures?x=1": catalog.Invalid,
	} {
		require.Equal(t, code, a.get(path).problem(t).Code, path)
	}
}

func TestStartLater(t *testing.T) {
	a := newRunsAPI(t)
	const body = `{"counter":"a","by":1}`
	later := a.post("/commands/runs.add?startAt=2999-01-01T01:00:00%2B01:00", body, "Idempotency-Key", "later")
	require.Equal(t, 202, later.status, later.body)
	require.JSONEq(t, `{"id":"later","command":"runs.add","status":"scheduled"}`, later.body)
	require.Equal(t, 202, a.post("/commands/runs.add?startAt=2999-01-01T00:00:00Z", body, "Idempotency-Key", "later").status, "the same time")
	require.Equal(t, catalog.NotFound, a.get("/entities/runs.counter/a/projections/count").problem(t).Code)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.add/later/pause", "").problem(t).Code)
	require.Equal(t, 202, a.post("/commands/runs.add/later/cancel", "").status, "a direct command that has not begun")
	require.Equal(t, flow.StatusCancelled, a.ended("runs.add", "later").Status)

	now := a.post("/commands/runs.add?startAt=2001-01-01T00:00:00Z&wait=30s", body)
	require.Equal(t, 200, now.status, now.body)
	require.Contains(t, now.body, `"status":"completed"`)
	require.Equal(t, "1", a.count("a"))

	require.Equal(t, catalog.Conflict, a.post("/commands/runs.add", body, "Idempotency-Key", "later").problem(t).Code, "it was to start later")
	require.Equal(t, 200, a.post("/commands/runs.add", body, "Idempotency-Key", "at once").status)
	require.Equal(t, catalog.Conflict, a.post("/commands/runs.add?startAt=2999-01-01T00:00:00Z", body, "Idempotency-Key", "at once").problem(t).Code)
	require.Equal(t, "2", a.count("a"))
}

func TestOptionsThatAreWrong(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	bodies := map[string]string{"add": `{"counter":"a","by":1}`, "move": `{"from":"a","to":"b","by":1}`, "add-all": `{"by":1}`}
	for _, test := range []struct{ command, query, fields string }{
		{"move", "startAt=now", "startAt"},
		{"move", "dryRun=true", "dryRun"},
		{"move", "ratePerSecond=1&stopAfterFailures=1", "ratePerSecond stopAfterFailures"},
		{"move", "expectedSequence=1", "expectedSequence"},
		{"move", "wait=-1s", "wait"},
		{"add-all", "expectedSequence=1", "expectedSequence"},
		{"add-all", "dryRun=yes", "dryRun"},
		{"add-all", "ratePerSecond=0", "ratePerSecond"},
		{"add-all", "ratePerSecond=-1", "ratePerSecond"},
		{"add-all", "ratePerSecond=NaN", "ratePerSecond"},
		{"add-all", "ratePerSecond=Inf&stopAfterFailures=0", "ratePerSecond stopAfterFailures"},
		{"add-all", "stopAfterFailures=1.5", "stopAfterFailures"},
		{"add-all", "stopAfterFailures=99999999999", "stopAfterFailures"},
		{"add-all", "ratePerSecond=null&stopAfterFailures=true", "ratePerSecond stopAfterFailures"},
		{"add-all", "startAt=&dryRun=", "dryRun startAt"},
		{"add", "ratePerSecond=1&startAt=2001-01-01T00:00:00Z", "ratePerSecond"},
	} {
		p := a.post("/commands/runs."+test.command+"?"+test.query, bodies[test.command]).problem(t)
		require.Equal(t, catalog.Invalid, p.Code, test.query)
		require.Equal(t, test.fields, fieldsOf(p), test.query)
	}
}

// What the schema cannot say is said before anything is written.
func TestValid(t *testing.T) {
	a := newRunsAPI(t)
	p := a.post("/commands/runs.move", `{"from":"a","to":"a","by":1}`, "Idempotency-Key", "one").problem(t)
	require.Equal(t, catalog.Invalid, p.Code)
	require.Equal(t, []catalog.Field{{Field: "to", Message: "must not be from"}}, p.Errors)
	require.Equal(t, catalog.NotFound, a.get("/commands/runs.move/one").problem(t).Code)
	for note, code := range map[string]catalog.Code{"bad": catalog.Invalid, "worse": catalog.Invalid, "broken": catalog.Internal} {
		body := `{"counter":"c","by":1,"note":"` + note + `"}`
		refused := a.post("/commands/runs.add", body)
		require.Equal(t, code, refused.problem(t).Code, note)
		require.NotContains(t, refused.body, "secret")
		bulk := a.bulkOf(`{"command":"runs.add","id":"x","parameters":` + body + `}`)
		require.Equal(t, code, bulk[0].Error.Code, note)
	}
	require.Equal(t, catalog.NotFound, a.get("/entities/runs.counter/c/events").problem(t).Code)
}

func TestBulkOfEveryKind(t *testing.T) {
	a := newRunsAPI(t)
	a.seed(10, "a")
	answers := a.bulkOf(`{"command":"runs.add","id":"1","parameters":{"counter":"a","by":1}}
{"command":"runs.move","id":"2","parameters":{"from":"a","to":"b","by":1},"options":{"dryRun":false,"startAt":null}}
{"command":"runs.add","id":"3","parameters":{"counter":"a","by":1}}
{"command":"runs.add","id":"4","parameters":{"counter":"z","by":1},"options":{"startAt":"2999-01-01T00:00:00Z"}}
{"command":"runs.add-all","id":"5","parameters":{"by":1},"options":{"dryRun":true,"ratePerSecond":100.5,"stopAfterFailures":1e1}}
{"command":"runs.move","id":"6","parameters":{"from":"a","to":"b","by":1},"options":{"dryRun":true}}
{"command":"runs.add-all","id":"7","parameters":{"by":1},"options":{"stopAfterFailures":0},"expectedSequence":1}
{"command":"runs.move","id":"2","parameters":{"from":"a","to":"b","by":2}}
{"command":"runs.move","id":"8","parameters":{"from":"a","to":"a","by":1}}
{"command":"runs.add","id":"9","parameters":{"counter":"z","by":1},"options":{"startAt":1},"context":{}}
`)
	require.Len(t, answers, 10)
	for i, want := range []string{"1 completed", "2 ", "3 completed", "4 scheduled", "5 ", "6 error options.dryRun", "7 error expectedSequence options.stopAfterFailures", "2 error", "8 error to", "9 error context options.startAt"} {
		got := *answers[i].ID + " " + answers[i].Status
		if e := answers[i].Error; e != nil && len(e.Errors) > 0 {
			got += " " + fieldsOf(*e)
		}
		require.Equal(t, i+1, answers[i].Line)
		require.Contains(t, got, want)
	}
	require.Equal(t, []uint64{2, 3}, []uint64{answers[0].Sequence, answers[2].Sequence}, "the order of direct ones")
	require.Equal(t, catalog.Conflict, answers[7].Error.Code)
	require.Equal(t, flow.StatusCompleted, a.ended("runs.move", "2").Status)
	require.Equal(t, flow.StatusCompleted, a.ended("runs.add-all", "5").Status)
}

func TestIndexOfEveryKind(t *testing.T) {
	a := newRunsAPI(t)
	var x index
	a.get("/").decode(t, &x)
	kinds := map[string]indexCommand{}
	for _, c := range x.Commands {
		kinds[c.Name] = c
	}
	require.Equal(t, "direct", kinds["runs.add"].Kind)
	require.Equal(t, "multi-step", kinds["runs.ask"].Kind)
	require.Equal(t, []string{"approve", "go"}, kinds["runs.ask"].Signals)
	require.Equal(t, []string{"take", "wait", "wait-more", "give"}, kinds["runs.ask"].Steps)
	require.Equal(t, "batch", kinds["runs.add-all"].Kind)
	require.Equal(t, "runs.add", kinds["runs.add-all"].Item)
	require.Equal(t, "30 1 29 2 *", kinds["runs.add-all"].Schedule)
}
