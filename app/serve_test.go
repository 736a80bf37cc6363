package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// logged is a log that tests can read.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// panicking is a runtime with a bug.
type panicking struct{ Runtime }

func (panicking) Ready(context.Context) error { panic("secret of the inside") }

func TestPanicsAreProblems(t *testing.T) {
	log := &logged{}
	a := newAPIOver(t, testDomain(), panicking{}, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	bug := a.get("/readyz")
	require.Equal(t, catalog.Internal, bug.problem(t).Code)
	require.NotContains(t, bug.body, "secret")
	require.Contains(t, log.String(), "secret of the inside")
	require.Contains(t, log.String(), "server.go", "a stack")
	require.Equal(t, 200, a.get("/healthz").status)
}

// unready is a runtime that cannot serve, for one reason or another.
type unready struct {
	Runtime
	why error
}

func (u unready) Ready(context.Context) error {
	return catalog.Faultf(catalog.Unavailable, "longrun.index/0: %v", u.why)
}

// People read what is wrong; what gRPC says, and who missed a deadline, is in the log.
func TestUnavailableIsInWords(t *testing.T) {
	for why, plain := range map[error]string{
		errors.New("rpc error: code = Unavailable desc = error reading from server: EOF"):           "the sidecar, its store or its broker does not serve this now; try again",
		errors.New("rpc error: code = DeadlineExceeded desc = " + context.DeadlineExceeded.Error()): "the sidecar, its store or its broker does not serve this now; try again",
		context.DeadlineExceeded: "there was no answer in time; try again",
	} {
		log := &logged{}
		a := newAPIOver(t, testDomain(), unready{why: why}, func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		p := a.get("/readyz").problem(t)
		require.Equal(t, catalog.Unavailable, p.Code)
		require.Equal(t, plain, p.Detail)
		require.Contains(t, log.String(), why.Error())
	}
}

// A process answers /healthz from its first moment, serves when its system is
// up, and ends what is in flight when it is told to stop.
func TestServe(t *testing.T) {
	inner := newAPI(t, nil)
	s := &slow{Runtime: inner.runtime, started: make(chan actors.Command), let: make(chan struct{})}
	all, err := catalog.New(testDomain().Catalog())
	require.NoError(t, err)
	server, err := NewServer(Options{Catalog: all})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &api{Server: inner.Server, t: t, edge: server}
	a.URL = "http://" + l.Addr().String()

	ctx, stop := context.WithCancel(t.Context())
	connected, ended, stopped := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() {
		ended <- Serve(ctx, server, l, func(context.Context) (Runtime, func(context.Context) error, error) {
			<-connected
			return s, func(context.Context) error { close(stopped); return nil }, nil
		}, waitLong, slog.New(slog.DiscardHandler))
	}()
	require.Equal(t, 200, a.get("/healthz").status)
	for _, starting := range []answer{a.get("/readyz"), a.post("/commands/test.add", `{"counter":"c","by":1}`), a.get("/commands")} {
		require.Equal(t, catalog.Unavailable, starting.problem(t).Code)
		require.NotEmpty(t, starting.header.Get("Retry-After"))
	}
	close(connected)
	require.Eventually(t, func() bool { return a.get("/readyz").status == 200 }, waitLong, waitStep)

	answers := make(chan answer, 1)
	go func() { answers <- a.post("/commands/test.add", `{"counter":"c","by":1}`) }()
	<-s.started
	stop()
	<-server.draining
	select {
	case <-stopped:
		t.Fatal("the system was stopped under a request")
	case <-answers:
		t.Fatal("the request ended too early")
	default:
	}
	close(s.let)
	require.Equal(t, 200, (<-answers).status)
	require.NoError(t, <-ended)
	<-stopped
	_, err = http.Get(a.URL + "/healthz") //nolint:bodyclose // it fails
	require.Error(t, err)
}

func TestServeWhoseSystemCannotStart(t *testing.T) {
	all, err := catalog.New(testDomain().Catalog())
	require.NoError(t, err)
	for name, test := range map[string]struct {
		ctx  func() context.Context
		want string
	}{
		"fault":                  {t.Context, "no sidecar"},
		"told to stop meanwhile": {func() context.Context { ctx, stop := context.WithCancel(t.Context()); stop(); return ctx }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := NewServer(Options{Catalog: all})
			require.NoError(t, err)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			err = Serve(test.ctx(), server, l, func(context.Context) (Runtime, func(context.Context) error, error) {
				return nil, nil, errors.New("no sidecar")
			}, time.Second, slog.New(slog.DiscardHandler))
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

// What does not end within the grace is cut off.
func TestServeEndsAfterItsGrace(t *testing.T) {
	inner := newAPI(t, nil)
	s := &slow{Runtime: inner.runtime, started: make(chan actors.Command), let: make(chan struct{})}
	t.Cleanup(func() { close(s.let) })
	all, err := catalog.New(testDomain().Catalog())
	require.NoError(t, err)
	server, err := NewServer(Options{Catalog: all})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, server, l, func(context.Context) (Runtime, func(context.Context) error, error) {
			return s, func(context.Context) error { return nil }, nil
		}, 10*time.Millisecond, slog.New(slog.DiscardHandler))
	}()
	cut := make(chan error, 1)
	go func() {
		_, err := http.Post("http://"+l.Addr().String()+"/commands/test.add", "application/json", strings.NewReader(`{"counter":"c","by":1}`)) //nolint:bodyclose // it fails
		cut <- err
	}()
	<-s.started
	stop()
	require.ErrorContains(t, <-ended, "did not end within")
	require.Error(t, <-cut)
}

func TestMetrics(t *testing.T) {
	a := newAPI(t, nil)
	a.post("/commands/test.add", `{"counter":"c","by":1}`)
	a.get("/entities/test.counter/c/events")
	a.get("/entities/test.counter/d/events")
	a.get("/nowhere")
	text := a.get("/metrics").body
	for _, want := range []string{
		`longrun_http_request_duration_seconds_count{route="/commands/{command}",status="200"} 1`,
		`longrun_http_request_duration_seconds_count{route="/entities/{type}/{key}/events",status="200"} 1`,
		`longrun_http_request_duration_seconds_count{route="/entities/{type}/{key}/events",status="404"} 1`,
		`longrun_http_request_duration_seconds_count{route="none",status="404"} 1`,
		"go_goroutines", "process_cpu_seconds_total",
	} {
		require.Contains(t, text, want)
	}
}

func TestHealth(t *testing.T) {
	a := newAPI(t, nil)
	require.JSONEq(t, `{"status":"ok","version":"v1.2.3"}`, a.get("/healthz").body)
	require.JSONEq(t, `{"status":"ready"}`, a.get("/readyz").body)
	a.edge.Drain()
	require.Equal(t, catalog.Unavailable, a.get("/readyz").problem(t).Code)
	require.Equal(t, 200, a.get("/healthz").status)
}
