package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
)

// TestMessages reads topics in both ways at a real sidecar and broker. What a
// handler sees is the same.
func TestMessages(t *testing.T) {
	var topics []string
	for mode := range hostings {
		for _, part := range []string{"shapes", "again", "limit", "stopped", "left", "killed", "told", "broker"} {
			topics = append(topics, part+"-"+mode)
		}
	}
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(servers.StackOptions{
		Args: []string{"--restart", "--topics", strings.Join(topics, ",")},
	}))
	for mode := range hostings {
		t.Run(mode, func(t *testing.T) {
			m := &mail{stack: stack, mode: mode}
			t.Run("shapes", m.arriveAsPublished)
			t.Run("errors and panics", m.comeAgain)
			t.Run("limit", m.keepTheLimit)
			t.Run("stop", m.areHandledOnceAcrossAStop)
			t.Run("stop that cannot wait", m.comeAgainWhenLeft)
			t.Run("the sidecar is killed", func(t *testing.T) { m.survive(t, "killed", m.restart(syscall.SIGKILL)) })
			t.Run("the sidecar is stopped", func(t *testing.T) { m.survive(t, "told", m.restart(syscall.SIGTERM)) })
			t.Run("the broker is killed", func(t *testing.T) { m.survive(t, "broker", m.killBroker) })
		})
	}
}

// TestMessagesRedis does the same in short with Dapr's own Redis component, which
// acknowledges in another way.
func TestMessagesRedis(t *testing.T) {
	server := servers.ForTest[*servers.Redis](t)(servers.StartRedis())
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(servers.StackOptions{
		Components: "redis-env", Env: []string{"LONGRUN_REDIS=" + server.Addr},
	}))
	for mode := range hostings {
		t.Run(mode, func(t *testing.T) {
			m := &mail{stack: stack, mode: mode}
			t.Run("shapes", m.arriveAsPublished)
			t.Run("errors and panics", m.comeAgain)
			t.Run("limit", m.keepTheLimit)
		})
	}
}

// hostings are the ways of hosting, with the protocol of a sidecar that suits.
var hostings = map[string]string{actors.HostStream: "", actors.HostHTTP: "http"}

// mail publishes and reads at one stack, in one way.
type mail struct {
	stack *servers.Stack
	mode  string
}

func (m *mail) topic(part string) string { return part + "-" + m.mode }

// reader is an app that reads one topic at a sidecar of its own.
type reader struct {
	dapr *servers.Sidecar
	stop func(context.Context) error
}

func (m *mail) read(t *testing.T, part string, limit int, handle func(context.Context, actors.Message) error) *reader {
	t.Helper()
	r := &reader{dapr: servers.ForTest[*servers.Sidecar](t)(m.stack.StartSidecar(hostings[m.mode]))}
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: r.dapr.GRPC, CallbackAddr: r.dapr.Callback})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sidecar.Close() })
	r.stop, err = sidecar.Host(t.Context(), actors.HostAuto, &echo{},
		actors.Topic{PubSub: "pubsub", Name: m.topic(part), Limit: limit, Handle: handle})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.stop(context.Background()) })
	return r
}

// publish publishes numbers, each with an id so that it can be sent again until it
// is there.
func (m *mail) publish(t *testing.T, part string, from, to int) {
	t.Helper()
	var all []actors.Outgoing
	for i := from; i < to; i++ {
		all = append(all, actors.Outgoing{ID: fmt.Sprint(m.topic(part), "/", i), Data: []byte(strconv.Itoa(i))})
	}
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: m.stack.DaprGRPC[0]})
	require.NoError(t, err)
	defer sidecar.Close() //nolint:errcheck // a connection of this test's
	for len(all) > 0 {
		some := all[:min(20, len(all))]
		require.Eventually(t, func() bool { return sidecar.Publish(t.Context(), "pubsub", m.topic(part), some...) == nil },
			time.Minute, 10*time.Millisecond)
		all = all[len(some):]
	}
}

// arriveAsPublished publishes what people may publish, with HTTP.
func (m *mail) arriveAsPublished(t *testing.T) {
	arrived := make(chan actors.Message, 1)
	m.read(t, "shapes", 0, func(_ context.Context, msg actors.Message) error {
		arrived <- msg
		return nil
	})
	const cloudEvent, octets = "application/cloudevents+json", "application/octet-stream"
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		contentType, query, body string
		data                     string
		want                     actors.Message // empty fields are not compared
	}{
		"JSON":           {contentType: "application/json", body: `{"s":"<ž>","n":12345678901234567890}`, data: `{"n":12345678901234567890,"s":"\u003cž\u003e"}`, want: actors.Message{ContentType: "application/json"}},
		"JSON string":    {contentType: "application/json", body: `"x"`, data: `"x"`},
		"not JSON":       {contentType: "application/json", body: `{x`, data: `"{x"`},
		"JSON of a kind": {contentType: "application/vnd.bank+json", body: `{"a":1}`, data: `{"a":1}`, want: actors.Message{ContentType: "application/vnd.bank+json"}},
		"text":           {contentType: "text/plain", body: `say "hi"`, data: `say "hi"`, want: actors.Message{ContentType: "text/plain"}},
		"bytes":          {contentType: octets, body: "\x00\xff", data: "\x00\xff", want: actors.Message{ContentType: octets}},
		"id":             {contentType: "application/json", query: "metadata.cloudevent.id=mine-" + m.mode, body: "1", data: "1", want: actors.Message{ID: "mine-" + m.mode}},
		"CloudEvent": {
			contentType: cloudEvent, data: `{"a":[1]}`,
			body: `{"specversion":"1.0","id":"e-` + m.mode + `","source":"s","type":"t","subject":"u","traceid":"` + trace + `","traceparent":"` + trace + `","correlationid":"c","datacontenttype":"application/json","data":{"a":[1]}}`,
			want: actors.Message{ID: "e-" + m.mode, Source: "s", Type: "t", Subject: "u", TraceParent: trace, CorrelationID: "c", ContentType: "application/json"},
		},
		"CloudEvent with base64": {
			contentType: cloudEvent, body: `{"specversion":"1.0","id":"b-` + m.mode + `","source":"s","type":"t","data_base64":"AP8="}`,
			data: "\x00\xff", want: actors.Message{ID: "b-" + m.mode},
		},
		"raw bytes": {contentType: octets, query: "metadata.rawPayload=true", body: "\x00 no message \xff", data: "\x00 no message \xff"},
		"raw JSON":  {contentType: "application/json", query: "metadata.rawPayload=true", body: `{"command": 1.0}`, data: `{"command": 1.0}`},
		"raw list":  {contentType: "application/json", query: "metadata.rawPayload=true", body: `[ 1 ]`, data: `[ 1 ]`},
		"large":     {contentType: "text/plain", body: strings.Repeat("x", 3<<20), data: strings.Repeat("x", 3<<20)},
	} {
		m.post(t, "shapes", c.query, c.contentType, c.body)
		got := <-arrived
		require.Equal(t, c.data, string(got.Data), name)
		require.Equal(t, m.topic("shapes"), got.Topic, name)
		for _, field := range [][2]string{
			{c.want.ID, got.ID},
			{c.want.Source, got.Source},
			{c.want.Type, got.Type},
			{c.want.Subject, got.Subject},
			{c.want.TraceParent, got.TraceParent},
			{c.want.CorrelationID, got.CorrelationID},
			{c.want.ContentType, got.ContentType},
		} {
			if field[0] != "" {
				require.Equal(t, field[0], field[1], name)
			}
		}
	}
}

// post publishes as curl does.
func (m *mail) post(t *testing.T, part, query, contentType, body string) {
	t.Helper()
	url := m.stack.DaprHTTP[0] + "/v1.0/publish/pubsub/" + m.topic(part) + "?" + query
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	why, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, "%s", why)
}

// comeAgain refuses a message in every way there is.
func (m *mail) comeAgain(t *testing.T) {
	var tries int
	handled := make(chan string, 10)
	m.read(t, "again", 1, func(_ context.Context, msg actors.Message) error { // one at a time
		if string(msg.Data) == "0" {
			switch tries++; tries {
			case 1:
				return errors.New("on purpose")
			case 2:
				panic("on purpose")
			}
		}
		handled <- string(msg.Data)
		return nil
	})
	m.publish(t, "again", 0, 3)
	seen := map[string]bool{<-handled: true, <-handled: true, <-handled: true}
	require.Len(t, seen, 3, "each is handled once")
}

// keepTheLimit has more messages than may be handled at the same time.
func (m *mail) keepTheLimit(t *testing.T) {
	const n, limit = 60, 4
	started, release, ended := make(chan struct{}, n), make(chan struct{}), make(chan struct{}, n)
	var mu sync.Mutex
	var now, most int
	m.read(t, "limit", limit, func(context.Context, actors.Message) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		started <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		ended <- struct{}{}
		return nil
	})
	m.publish(t, "limit", 0, n)
	for range limit {
		<-started
	}
	close(release)
	for range n {
		<-ended
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, limit, most)
}

// areHandledOnceAcrossAStop stops a reader in the middle, with messages in flight.
// Those end and are acknowledged; the next reader gets exactly the rest.
func (m *mail) areHandledOnceAcrossAStop(t *testing.T) {
	const n = 500
	first, second := newTally(), newTally()
	hold := make(chan struct{})
	r := m.read(t, "stopped", 16, func(_ context.Context, msg actors.Message) error {
		if first.started() >= 100 {
			<-hold
		}
		first.add(msg)
		return nil
	})
	m.publish(t, "stopped", 0, n)
	eventually(t, "messages are in flight", func() bool { return first.begun() >= 115 })
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop(t.Context()) }()
	close(hold)
	require.NoError(t, <-stopped)
	require.Equal(t, first.begun(), first.count(), "what began has ended")
	before := first.count()
	require.Less(t, before, n)
	require.NoError(t, r.dapr.Stop(), "a sidecar ends with its app; it would go on taking messages")

	m.read(t, "stopped", 16, func(_ context.Context, msg actors.Message) error {
		second.add(msg)
		return nil
	})
	eventually(t, "the rest is handled", func() bool { return before+second.count() >= n })
	require.Equal(t, before, first.count(), "nothing is handled after a stop")
	require.Len(t, union(first, second), n, "each once")
}

// comeAgainWhenLeft stops a reader whose handlers do not end in time: what they
// were at comes again, and they are told.
func (m *mail) comeAgainWhenLeft(t *testing.T) {
	const n = 50
	begun, told := make(chan struct{}, n), make(chan struct{}, n)
	r := m.read(t, "left", 8, func(ctx context.Context, _ actors.Message) error {
		begun <- struct{}{}
		<-ctx.Done()
		told <- struct{}{}
		return ctx.Err()
	})
	m.publish(t, "left", 0, n)
	for range 8 {
		<-begun
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.stop(ended), context.Canceled)
	for range 8 {
		<-told
	}
	require.NoError(t, r.dapr.Stop(), "a sidecar ends with its app; it would go on taking messages")
	all := newTally()
	m.read(t, "left", 0, func(_ context.Context, msg actors.Message) error {
		all.add(msg)
		return nil
	})
	eventually(t, "all are handled", func() bool { return all.count() == n })
}

// survive breaks something while messages are published and in flight.
func (m *mail) survive(t *testing.T, part string, fault func(r *reader) error) {
	t.Helper()
	const n = 500
	all := newTally()
	mended := make(chan struct{})
	r := m.read(t, part, 16, func(ctx context.Context, msg actors.Message) error {
		if all.started() > n/5 {
			select {
			case <-mended:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		all.add(msg)
		return nil
	})
	m.publish(t, part, 0, n/2)
	eventually(t, "messages are in flight", func() bool { return all.begun() >= n/5+16 })
	broken := make(chan error, 1)
	go func() { broken <- fault(r) }()
	m.publish(t, part, n/2, n)
	require.NoError(t, <-broken)
	close(mended)
	eventually(t, "all messages are handled", func() bool { return all.count() == n })
}

func (m *mail) restart(signal syscall.Signal) func(*reader) error {
	return func(r *reader) error { return r.dapr.Restart(signal) }
}

// killBroker returns when the broker is started again.
func (m *mail) killBroker(*reader) error {
	pid, err := m.stack.Process("broker")
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	for again := pid; again == pid || again == 0; time.Sleep(5 * time.Millisecond) { // between two looks
		if again, err = m.stack.Process("broker"); err != nil {
			return err
		}
	}
	return nil
}

// tally is which messages were handled. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	start int
	seen  map[string]bool
}

func newTally() *tally { return &tally{seen: map[string]bool{}} }

// started counts one more.
func (s *tally) started() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start++
	return s.start
}

func (s *tally) begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start
}

func (s *tally) add(m actors.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[string(m.Data)] = true
}

// count is how many different messages were handled.
func (s *tally) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// union is what either has seen.
func union(a, b *tally) map[string]bool {
	all := map[string]bool{}
	for _, s := range []*tally{a, b} {
		s.mu.Lock()
		for m := range s.seen {
			all[m] = true
		}
		s.mu.Unlock()
	}
	return all
}
