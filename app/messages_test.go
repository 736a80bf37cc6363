package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// letters is a broker as far as dead letters go: it keeps one of each id, and is
// down for the first so many calls.
type letters struct {
	mu   sync.Mutex
	down int
	kept []actors.Outgoing
}

func (l *letters) Publish(_ context.Context, pubsub, topic string, messages ...actors.Outgoing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down > 0 {
		l.down--
		return errors.New("the broker is down")
	}
	if pubsub != "pubsub" || topic != "commands-dead" {
		return fmt.Errorf("topic %s of %s", topic, pubsub)
	}
next:
	for _, m := range messages {
		for _, k := range l.kept {
			if m.ID != "" && k.ID == m.ID {
				continue next
			}
		}
		l.kept = append(l.kept, m)
	}
	return nil
}

// letter is a dead letter as its reader sees it.
type letter struct {
	Message  any     `json:"message"`
	Encoding string  `json:"encoding"`
	Bytes    int     `json:"bytes"`
	Problem  problem `json:"problem"`
}

// take is the only letter since the last take; nil if there is none.
func (l *letters) take(t *testing.T) *letter {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.kept
	l.kept = nil
	if len(kept) == 0 {
		return nil
	}
	require.Len(t, kept, 1)
	var read letter
	require.NoError(t, json.Unmarshal(kept[0].Data, &read))
	return &read
}

// routed is a router beside an API over the same system.
type routed struct {
	*api
	*letters
	*Router
	metrics *prometheus.Registry
}

func newRouted(t *testing.T, a *api, r Runtime, patience time.Duration) *routed {
	t.Helper()
	to := &routed{api: a, letters: &letters{}, metrics: prometheus.NewRegistry()}
	var err error
	to.Router, err = NewRouter(a.edge, RouterOptions{PubSub: "pubsub", Publisher: to.letters, Patience: patience, Metrics: to.metrics})
	require.NoError(t, err)
	if r != nil {
		to.Use(r)
	}
	return to
}

// counted is how many messages ended so.
func (r *routed) counted(outcome string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	require.NoError(r.t, err)
	require.Len(r.t, families, 1)
	for _, m := range families[0].GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() == "outcome" && label.GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// came is a message of the topic.
func came(data string) actors.Message {
	return actors.Message{ID: "m-" + data[:min(len(data), 20)], Source: "test", Topic: "commands", Data: []byte(data)}
}

func (r *routed) handle(data string) {
	r.t.Helper()
	require.NoError(r.t, r.Handle(r.t.Context(), came(data)))
}

func TestMessagesAreRouted(t *testing.T) {
	a := newRunsAPI(t)
	r := newRouted(t, a, a.runtime, 0)
	const direct = `{"command":"runs.add","id":"one","parameters":{"counter":"a","by":10},"expectedSequence":0,
		"context":{"who":"someone","source":"a shop","commentary":"line\nbreak","correlationId":"cor","causationId":"cause"}}`
	for range 5 {
		r.handle(direct)
	}
	require.Equal(t, "10", a.count("a"), "it ran once")
	c := firstEvent(t, a, "/entities/runs.counter/a").Context
	require.Equal(t, []string{"someone", "a shop", "line\nbreak", "cor", "cause"}, []string{c.Who, c.Source, c.Commentary, c.CorrelationID, c.CausationID})

	r.handle(`{"command":"runs.move","id":"two","parameters":{"from":"a","to":"b","by":4},"context":null,"options":{},"expectedSequence":null}`)
	require.Equal(t, flow.StatusCompleted, a.ended("runs.move", "two").Status)
	c = firstEvent(t, a, "/commands/runs.move/two").Context
	require.Equal(t, []string{"", "pubsub", "two"}, []string{c.Who, c.Source, c.CorrelationID})

	m := came(`{"command":"runs.add-all","id":"three","parameters":{"by":1},"options":{"dryRun":true,"stopAfterFailures":3}}`)
	m.CorrelationID, m.CausationID = "from the envelope", "\x00"
	require.NoError(t, r.Handle(t.Context(), m))
	require.Equal(t, flow.StatusCompleted, a.ended("runs.add-all", "three").Status)
	c = firstEvent(t, a, "/commands/runs.add-all/three").Context
	require.Equal(t, []string{"from the envelope", ""}, []string{c.CorrelationID, c.CausationID})

	r.handle(`{"command":"runs.add","id":"later","parameters":{"counter":"a","by":1},"options":{"startAt":"2999-01-01T00:00:00Z"}}`)
	require.Contains(t, a.get("/commands/runs.add/later").body, `"status":"scheduled"`)

	// The domain's no is the answer, recorded under the id.
	r.handle(`{"command":"runs.add","id":"no","parameters":{"counter":"a","by":1001}}`)
	require.Contains(t, a.get("/commands/runs.add/no").body, `"status":"rejected"`)
	require.Nil(t, r.take(t), "nothing was dead")
	require.Equal(t, []string{"6", "4"}, []string{a.count("a"), a.count("b")})
	require.Equal(t, 9.0, r.counted(outcomeHandled))
}

func TestMessagesThatAreDead(t *testing.T) {
	a := newRunsAPI(t)
	r := newRouted(t, a, a.runtime, 0)
	a.post("/commands/runs.add", `{"counter":"taken","by":1}`, "Idempotency-Key", "taken")
	long := strings.Repeat("x", 513)
	for name, test := range map[string]struct {
		data   string
		code   catalog.Code
		fields string
		stream string // of the command that is recorded as invalid
	}{
		"nothing":           {``, catalog.Invalid, "", ""},
		"not JSON":          {`command=runs.add`, catalog.Invalid, "", ""},
		"no object":         {`["runs.add"]`, catalog.Invalid, "", ""},
		"JSON in text":      {`"{\"command\":\"runs.add\"}"`, catalog.Invalid, "", ""},
		"a name twice":      {`{"command":"runs.add","id":"2","id":"3","parameters":{"counter":"a","by":1}}`, catalog.Invalid, "id", ""},
		"no id":             {`{"command":"runs.add","parameters":{"counter":"a","by":1}}`, catalog.Invalid, "id", ""},
		"id is no text":     {`{"command":"runs.add","id":7,"parameters":{"counter":"a","by":1}}`, catalog.Invalid, "id", ""},
		"id too long":       {`{"command":"runs.add","id":"` + long + `","parameters":{"counter":"a","by":1}}`, catalog.Invalid, "id", ""},
		"no command":        {`{"id":"1","parameters":{}}`, catalog.Invalid, "command", ""},
		"unknown command":   {`{"command":"runs.nothing","id":"1","parameters":{}}`, catalog.NotFound, "", ""},
		"another id":        {`{"command":"runs.add","id":"taken","parameters":{"counter":"taken","by":2}}`, catalog.Conflict, "", ""},
		"another command":   {`{"command":"runs.move","id":"taken","parameters":{"from":"a","to":"b","by":2}}`, catalog.Conflict, "", ""},
		"taken and invalid": {`{"command":"runs.add","id":"taken","parameters":{}}`, catalog.Invalid, "by counter", ""},
		"sequence":          {`{"command":"runs.add","id":"sequence","parameters":{"counter":"taken","by":2},"expectedSequence":7}`, catalog.Conflict, "", ""},
		"a bug":             {`{"command":"runs.add","id":"bug","parameters":{"counter":"a","by":1,"note":"panic"}}`, catalog.Internal, "", ""},
		"a bug in Valid":    {`{"command":"runs.add","id":"bug","parameters":{"counter":"a","by":1,"note":"broken"}}`, catalog.Internal, "", ""},
		"too large":         {`{"command":"runs.add","id":"large","parameters":{"counter":"` + strings.Repeat("x", maxBody) + `"}}`, catalog.TooLarge, "", ""},

		"schema":           {`{"command":"runs.add","id":"s1","parameters":{"counter":"a","by":0,"more":1}}`, catalog.Invalid, "by more", "/commands/runs.add/s1"},
		"schema, steps":    {`{"command":"runs.move","id":"s2","parameters":{"by":"1"}}`, catalog.Invalid, "by from to", "/commands/runs.move/s2"},
		"schema, batch":    {`{"command":"runs.add-all","id":"s3","parameters":{}}`, catalog.Invalid, "by", "/commands/runs.add-all/s3"},
		"no parameters":    {`{"command":"runs.add","id":"s4"}`, catalog.Invalid, "parameters", "/commands/runs.add/s4"},
		"not an object":    {`{"command":"runs.add","id":"s5","parameters":[ 1 ]}`, catalog.Invalid, "parameters", "/commands/runs.add/s5"},
		"Valid":            {`{"command":"runs.move","id":"s6","parameters":{"from":"a","to":"a","by":1}}`, catalog.Invalid, "to", "/commands/runs.move/s6"},
		"in the decision":  {`{"command":"runs.add","id":"s7","parameters":{"counter":"a","by":1,"note":"forbidden"}}`, catalog.Invalid, "note", "/commands/runs.add/s7"},
		"unknown field":    {`{"command":"runs.add","id":"s8","parameters":{"counter":"a","by":1},"option":{"dryRun":true}}`, catalog.Invalid, "option", "/commands/runs.add/s8"},
		"options":          {`{"command":"runs.move","id":"s9","parameters":{"from":"a","to":"b","by":1},"options":{"dryRun":true,"x":1}}`, catalog.Invalid, "options.dryRun options.x", "/commands/runs.move/s9"},
		"context":          {`{"command":"runs.add","id":"s10","parameters":{"counter":"a","by":1},"context":{"who":1,"whom":"","correlationId":"` + long + `"}}`, catalog.Invalid, "context.correlationId context.who context.whom", "/commands/runs.add/s10"},
		"context is none":  {`{"command":"runs.add","id":"s11","parameters":{"counter":"a","by":1},"context":"me"}`, catalog.Invalid, "context", "/commands/runs.add/s11"},
		"long commentary":  {`{"command":"runs.add","id":"s12","parameters":{"counter":"a","by":1},"context":{"commentary":"` + strings.Repeat("x", 5000) + `"}}`, catalog.Invalid, "context.commentary", "/commands/runs.add/s12"},
		"expected, steps":  {`{"command":"runs.move","id":"s13","parameters":{"from":"a","to":"b","by":1},"expectedSequence":1}`, catalog.Invalid, "expectedSequence", "/commands/runs.move/s13"},
		"expected, broken": {`{"command":"runs.move","id":"s14","parameters":{"from":"a","to":"b","by":1},"expectedSequence":"1"}`, catalog.Invalid, "expectedSequence", "/commands/runs.move/s14"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // it comes again
				r.handle(test.data)
			}
			l := r.take(t)
			require.NotNil(t, l)
			require.Equal(t, test.code, l.Problem.Code, l.Problem.Detail)
			require.NotContains(t, l.Problem.Detail, "secret")
			require.NotContains(t, l.Problem.Detail, "the line", "it is a message")
			require.Equal(t, test.fields, fieldsOf(l.Problem))
			switch {
			case len(test.data) > maxLetter:
				require.Equal(t, len(test.data), l.Bytes)
				require.Equal(t, test.data[:cutLetter], l.Message)
			case json.Valid([]byte(test.data)) && name != "a name twice":
				message, err := json.Marshal(l.Message)
				require.NoError(t, err)
				require.JSONEq(t, test.data, string(message))
			default:
				require.Equal(t, test.data, l.Message)
			}
			if test.stream == "" {
				return
			}
			var p flow.Progress
			a.get(test.stream).decode(t, &p)
			require.Equal(t, flow.StatusInvalid, p.Status)
			require.Equal(t, catalog.Invalid, p.Error.Code)
			require.Equal(t, l.Problem.Errors, p.Error.Fields)
		})
	}
	require.Equal(t, catalog.NotFound, a.get("/entities/runs.counter/a/events").problem(t).Code, "nothing was done")
	require.Contains(t, a.get("/commands/runs.add/taken").body, `"status":"completed"`)
	for _, missing := range []string{"sequence", "bug", "large"} {
		require.Equal(t, catalog.NotFound, a.get("/commands/runs.add/"+missing).problem(t).Code, missing)
	}
	require.Positive(t, r.counted(outcomeDead))
}

func TestMessagesThatAreNotText(t *testing.T) {
	a := newAPI(t, nil)
	r := newRouted(t, a, a.runtime, 0)
	r.handle("\xff\x00")
	l := r.take(t)
	require.Equal(t, []any{base64.StdEncoding.EncodeToString([]byte("\xff\x00")), "base64"}, []any{l.Message, l.Encoding})

	for _, large := range []string{strings.Repeat("é", maxLetter), "x" + strings.Repeat("é", maxLetter), strings.Repeat("\xff", 2*maxLetter), strings.Repeat("\x01", maxLetter)} {
		r.handle(large)
		r.mu.Lock()
		require.Less(t, len(r.kept[0].Data), 1<<20, "a broker takes it")
		r.mu.Unlock()
		l := r.take(t)
		require.Equal(t, len(large), l.Bytes)
		text := l.Message.(string)
		if l.Encoding == "base64" {
			raw, err := base64.StdEncoding.DecodeString(text)
			require.NoError(t, err)
			text = string(raw)
		}
		require.True(t, strings.HasPrefix(large, text))
		require.Greater(t, len(text), cutLetter-4)
	}
}

// shaky is a runtime that is not available for its first so many calls.
type shaky struct {
	Runtime
	mu    sync.Mutex
	down  int
	calls chan struct{} // told of each call; nil: nobody is
}

func (s *shaky) Do(ctx context.Context, c actors.Command) (actors.Answer, error) {
	s.mu.Lock()
	down := s.down > 0
	s.down--
	s.mu.Unlock()
	if s.calls != nil {
		s.calls <- struct{}{}
	}
	if down {
		return actors.Answer{}, catalog.Faultf(catalog.Unavailable, "the store is down")
	}
	return s.Runtime.Do(ctx, c)
}

const oneMessage = `{"command":"runs.add","id":"one","parameters":{"counter":"a","by":1}}`

// What cannot be handled now is tried again, in the handler and then by the
// broker, and is never dead for that.
func TestMessagesThatMustWait(t *testing.T) {
	a := newRunsAPI(t)
	s := &shaky{Runtime: a.runtime, down: 3}
	r := newRouted(t, a, s, 0)
	r.handle(oneMessage)
	require.Equal(t, "1", a.count("a"))

	s = &shaky{Runtime: a.runtime, down: 1_000_000}
	r = newRouted(t, a, s, 100*time.Millisecond)
	var f *catalog.Fault
	require.ErrorAs(t, r.Handle(t.Context(), came(oneMessage)), &f)
	require.Equal(t, catalog.Unavailable, f.Code)
	require.Nil(t, r.take(t))
	require.Equal(t, 1.0, r.counted(outcomeReturned))

	ctx, cancel := context.WithCancel(t.Context())
	s = &shaky{Runtime: a.runtime, down: 1_000_000, calls: make(chan struct{})}
	r = newRouted(t, a, s, time.Hour)
	ended := make(chan error)
	go func() { ended <- r.Handle(ctx, came(oneMessage)) }()
	<-s.calls
	cancel()
	require.Error(t, waitFor(t, ended, s.calls), "nobody waits for the message any more")

	r = newRouted(t, a, s, time.Hour)
	go func() { ended <- r.Handle(t.Context(), came(oneMessage)) }()
	<-s.calls
	r.Router.Stop()
	require.Error(t, waitFor(t, ended, s.calls), "it goes back when the process stops")
	require.Nil(t, r.take(t))
}

// waitFor waits for a handler's end and lets it call meanwhile.
func waitFor(t *testing.T, ended chan error, calls chan struct{}) error {
	t.Helper()
	for {
		select {
		case err := <-ended:
			return err
		case <-calls:
		case <-time.After(waitLong):
			t.Fatal("it does not end")
		}
	}
}

// A letter that cannot be published keeps its message with the broker.
func TestLettersAreNotLost(t *testing.T) {
	a := newRunsAPI(t)
	const bad = `{"command":"runs.add","id":"bad","parameters":{}}`
	r := newRouted(t, a, a.runtime, 0)
	r.down = 2
	r.handle(bad)
	require.NotNil(t, r.take(t))

	r = newRouted(t, a, a.runtime, 50*time.Millisecond)
	r.down = 1_000_000
	require.ErrorContains(t, r.Handle(t.Context(), came(bad)), "the broker is down")
	require.Nil(t, r.take(t))
	r.mu.Lock()
	r.down = 0
	r.mu.Unlock()
	r.handle(bad) // the broker is back, and brings it again
	require.NotNil(t, r.take(t))
	require.Contains(t, a.get("/commands/runs.add/bad").body, `"status":"invalid"`)
}

func TestMessagesBeforeTheSystem(t *testing.T) {
	a := newRunsAPI(t)
	r := newRouted(t, a, nil, 0)
	ended := make(chan error)
	go func() { ended <- r.Handle(t.Context(), came(oneMessage)) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Handle(ctx, came(oneMessage)), context.Canceled)
	r.Use(a.runtime)
	require.NoError(t, <-ended)
	require.Equal(t, "1", a.count("a"))

	r = newRouted(t, a, nil, 0)
	r.Router.Stop()
	require.ErrorIs(t, r.Handle(t.Context(), came(oneMessage)), errStopping)
}

// A message that is too late is dead, unless its command was taken in time.
func TestMessagesThatExpired(t *testing.T) {
	a := newRunsAPI(t)
	r := newRouted(t, a, a.runtime, 0)
	m := came(oneMessage)
	m.Expires = time.Now().Add(time.Hour)
	require.NoError(t, r.Handle(t.Context(), m))
	m.Expires = time.Now().Add(-time.Hour)
	require.NoError(t, r.Handle(t.Context(), m), "it comes again")
	require.Nil(t, r.take(t))
	late := came(`{"command":"runs.add","id":"late","parameters":{"counter":"a","by":1}}`)
	late.Expires = m.Expires
	require.NoError(t, r.Handle(t.Context(), late))
	require.Contains(t, r.take(t).Problem.Detail, "expired")
	require.Equal(t, "1", a.count("a"))
}

func TestTopics(t *testing.T) {
	a := newAPI(t, nil)
	r := newRouted(t, a, a.runtime, 0)
	topics := r.Topics()
	require.Len(t, topics, 1)
	require.Equal(t, []any{"pubsub", "commands", defaultMessages}, []any{topics[0].PubSub, topics[0].Name, topics[0].Limit})
	_, err := NewRouter(a.edge, RouterOptions{Metrics: r.metrics})
	require.Error(t, err, "two of one name")
}
