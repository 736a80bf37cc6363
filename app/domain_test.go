package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A counter is the domain of these tests.
type (
	counterID string
	counted   struct {
		By   int    `json:"by"`
		Note string `json:"note,omitempty"`
	}
	add struct {
		Counter counterID `json:"counter" doc:"which counter"`
		By      int       `json:"by" minimum:"1"`
		Note    string    `json:"note,omitempty" maxLength:"20"`
	}
	above struct {
		Threshold int    `json:"threshold"`
		Label     string `json:"label,omitempty"`
	}
	// everything has a parameter of every shape.
	everything struct {
		Counter counterID      `json:"counter" minLength:"1" maxLength:"8"`
		Small   int8           `json:"small,omitempty" maximum:"100"`
		Big     uint64         `json:"big,omitempty"`
		Share   float64        `json:"share,omitempty" exclusiveMinimum:"0"`
		Sure    bool           `json:"sure,omitempty"`
		Size    string         `json:"size,omitempty" enum:"s,m,l"`
		Step    int            `json:"step,omitempty" enum:"5,10"`
		Day     string         `json:"day,omitempty" format:"date"`
		At      time.Time      `json:"at,omitzero"`
		Maybe   *int           `json:"maybe,omitempty" nullable:"true"`
		List    []inner        `json:"list,omitempty" minItems:"1" maxItems:"3"`
		Map     map[string]int `json:"map,omitempty"`
		Any     any            `json:"any,omitempty"`
		Blob    []byte         `json:"blob,omitempty"`
	}
	inner struct {
		Name  string `json:"name" pattern:"^[a-z]+$"`
		Inner *inner `json:"inner,omitempty"`
	}
)

func (counted) EventName() string       { return "counted" }
func (a add) on() counterID             { return a.Counter }
func (e everything) on() counterID      { return e.Counter }
func count(n int, e counted) int        { return n + e.By }
func isAbove(p above, n int) es.Verdict { return es.If(n > p.Threshold) }

func decideAdd(n int, c es.Call[add]) (es.Events, int, error) {
	switch {
	case c.In.Note == "panic":
		panic("secret of the inside")
	case c.In.Note == "forbidden":
		return nil, 0, es.Invalid("note", "must not be that")
	case n+c.In.By > 1000 && c.In.By < 1_000_000:
		return nil, 0, es.Reject("too-high", "%d and %d are more than 1000", n, c.In.By)
	}
	return es.Events{counted{c.In.By, c.In.Note}}, n + c.In.By, nil
}

// testDomain makes the definitions anew.
func testDomain() es.Domain {
	counter := es.NewEntity[counterID]("counter", es.EventOf[counted]())
	total := es.NewProjection(counter, "count", es.On(count))
	return es.NewDomain("test", counter, total,
		es.NewClassifier("above", total, isAbove),
		es.NewCommand("add", es.Decide("add", add.on, total, decideAdd)).Doc("Adds to a counter."),
		es.NewCommand("new", es.Decide("new", add.on, total, decideAdd).MustBeNew()),
		es.NewCommand("everything", es.Decide("everything", everything.on, total,
			func(int, es.Call[everything]) (es.Events, es.None, error) {
				return es.Events{counted{By: 1}}, es.None{}, nil
			})))
}

// api is a server over a real system with a store in memory.
type api struct {
	*httptest.Server
	t       testing.TB
	edge    *Server
	runtime Runtime
}

func newAPI(t testing.TB, change func(*Options)) *api {
	t.Helper()
	domain := testDomain()
	system, err := actors.New([]*catalog.Domain{domain.Catalog()}, stream.NewMemory(), nil, actors.Config{})
	require.NoError(t, err)
	require.NoError(t, system.Begin(t.Context()))
	a := newAPIOver(t, domain, Whole{System: system}, change)
	t.Cleanup(system.Close)
	return a
}

func newAPIOver(t testing.TB, domain es.Domain, r Runtime, change func(*Options)) *api {
	t.Helper()
	all, err := catalog.New(domain.Catalog())
	require.NoError(t, err)
	o := Options{Catalog: all, Version: "v1.2.3"}
	if change != nil {
		change(&o)
	}
	edge, err := NewServer(o)
	require.NoError(t, err)
	edge.Use(r)
	a := &api{Server: httptest.NewServer(edge), t: t, edge: edge, runtime: r}
	t.Cleanup(a.Close)
	t.Cleanup(edge.Drain) // before the server waits for its requests
	return a
}

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) decode(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

func (a answer) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	a.decode(t, &p)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	require.Equal(t, a.status, p.Status)
	require.Equal(t, kinds[p.Code].status, a.status, "code and status are one row of the table: %s", a.body)
	require.NotEmpty(t, p.Type)
	require.NotEmpty(t, p.Title)
	return p
}

// call sends a request; headers are name, value, name, value.
func (a *api) call(method, path, body string, headers ...string) answer {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, strings.NewReader(body))
	require.NoError(a.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			r.Header.Del(headers[i])
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := a.Client().Do(r)
	require.NoError(a.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(a.t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

func (a *api) get(path string) answer { a.t.Helper(); return a.call("GET", path, "") }

func (a *api) post(path, body string, headers ...string) answer {
	a.t.Helper()
	return a.call("POST", path, body, headers...)
}

// noStreams says whether no bulk and no follow is open.
func (a *api) noStreams() bool {
	all := int64(a.edge.limits.Streams)
	if !a.edge.streams.TryAcquire(all) {
		return false
	}
	a.edge.streams.Release(all)
	return true
}

// slow is a runtime whose commands wait until they are let go.
type slow struct {
	Runtime
	started chan actors.Command
	let     chan struct{}

	flight, most atomic.Int64 // of Starts: under way, and the most at one time
}

func (s *slow) Do(ctx context.Context, c actors.Command) (actors.Answer, error) {
	s.started <- c
	select {
	case <-s.let:
	case <-ctx.Done():
		return actors.Answer{}, catalog.Faultf(catalog.Unavailable, "gave up")
	}
	return s.Runtime.Do(ctx, c)
}

func (s *slow) Start(ctx context.Context, c actors.Command, done func(actors.Answer, error)) {
	if now := s.flight.Add(1); now > s.most.Load() {
		s.most.Store(now) // Starts of one bulk come one after the other
	}
	go func() {
		s.started <- c
		<-s.let
		s.Runtime.Start(ctx, c, func(a actors.Answer, err error) {
			s.flight.Add(-1)
			done(a, err)
		})
	}()
}

// How long a test waits for a condition, and how often it looks.
const (
	waitLong = 20 * time.Second
	waitStep = 2 * time.Millisecond
)

// request is one that no server has read yet.
func (a *api) request(method, path, body string) *http.Request {
	return httptest.NewRequestWithContext(a.t.Context(), method, path, strings.NewReader(body))
}

// deadlines is a writer that remembers the deadlines of its connection.
type deadlines struct {
	httptest.ResponseRecorder
	read []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return nil
}
