package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// maxBody is the most that a request's body, or one line of NDJSON, may have.
const maxBody = 1 << 20

// maxSequence is above every sequence of a stream.
const maxSequence = 1<<63 - 1

// Options is what a Server is made of.
type Options struct {
	Catalog *catalog.Catalog
	Limits  Limits               // zero fields: the defaults
	Log     *slog.Logger         // nil: nothing is logged
	Metrics *prometheus.Registry // what /metrics shows, and where the server registers its own; nil: a new one
	Version string               // what /healthz says
}

// Server is the HTTP edge: API.md over a Runtime. It serves /healthz from the
// start and everything else once Use gave it a Runtime.
type Server struct {
	catalog     *catalog.Catalog
	limits      Limits
	log         *slog.Logger
	version     string
	router      router
	commands    map[string]*params // by full name
	classifiers map[*catalog.Classifier]*params
	metrics     *metrics
	metricsPage http.Handler
	spec        []byte // the OpenAPI document
	index       []byte // GET /, with host for where the server is
	origin      *http.CrossOriginProtection

	system   atomic.Pointer[Runtime]
	requests gate
	streams  gate
	draining chan struct{}
	drain    sync.Once
}

// NewServer makes a server. The error is everything in the catalog that HTTP
// cannot show.
func NewServer(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	limits := o.Limits.withDefaults()
	s := &Server{
		catalog:     o.Catalog,
		limits:      limits,
		log:         o.Log,
		version:     o.Version,
		commands:    map[string]*params{},
		classifiers: map[*catalog.Classifier]*params{},
		origin:      http.NewCrossOriginProtection(),
		requests:    newGate(limits.Requests),
		streams:     newGate(limits.Streams),
		draining:    make(chan struct{}),
	}
	var err error
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	s.metricsPage = metricsPage(o.Metrics)
	registry := newRegistry()
	if err := s.compile(registry); err != nil {
		return nil, err
	}
	operations := s.operations()
	for _, op := range operations {
		s.router.add(op)
	}
	if s.spec, err = openAPI(s, registry, operations); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	if s.index, err = newIndex(s); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return s, nil
}

// compile makes the params of everything that has parameters.
func (s *Server) compile(r huma.Registry) error {
	var errs []error
	for _, c := range sorted(s.catalog.Commands) {
		p, err := commandParams(r, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("command %q: %w", c.Name, err))
		}
		s.commands[c.Name] = p
	}
	for entity, classifiers := range s.catalog.Classifiers {
		for _, k := range sorted(classifiers) {
			p, err := classifierParams(r, k)
			if err == nil && p.object().Properties["asOf"] != nil {
				err = errors.New("a parameter cannot be named asOf: that is the moment of every read")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("classifier %q of %q: %w", k.Name, entity, err))
			}
			s.classifiers[k] = p
		}
	}
	return errors.Join(errs...)
}

// Use opens the server for everything that needs the system. It is called once.
func (s *Server) Use(r Runtime) { s.system.Store(&r) }

// Drain makes the server not ready, and ends what would not end by itself:
// follows, and bulks after the lines they have read. Requests still come in and
// are answered; whoever listens stops that.
func (s *Server) Drain() { s.drain.Do(func() { close(s.draining) }) }

// runtime is the system, or unavailable before there is one.
func (s *Server) runtime() (Runtime, error) {
	if r := s.system.Load(); r != nil {
		return *r, nil
	}
	return nil, catalog.Faultf(catalog.Unavailable, "the system is starting")
}

// request is what a handler gets: a request whose path and query are read.
type request struct {
	*http.Request
	vars  map[string]string // of the path, decoded
	query *urlQuery
}

// operation is one call of the API, for the router and for the document.
type operation struct {
	id, method, path string
	summary          string
	query            []urlParam
	anyQuery         bool     // the handler checks the query itself
	headers          []string // that it takes
	answer           any      // a value of the type of the 200's body; nil: not JSON, or documented by itself
	exempt           bool     // from limits
	stream           func(*request) bool
	hidden           bool // from the document
	handle           func(http.ResponseWriter, *request) error
}

// ServeHTTP answers one request; everything that goes wrong is a problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &response{ResponseWriter: w}
	route := "none"
	started := time.Now()
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
			s.log.Error("handler panicked", "route", route, "panic", v, "stack", string(debug.Stack()))
			if out.status == 0 {
				writeProblem(out, &catalog.Fault{Code: catalog.Internal}, s.log)
				v = nil
			}
		}
		s.metrics.observe(route, out.status, time.Since(started))
		if v != nil {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	out.Header().Set("X-Content-Type-Options", "nosniff")
	op, vars, allow := s.router.find(r)
	if op == nil {
		if allow != nil {
			out.Header().Set("Allow", strings.Join(allow, ", "))
			writeProblem(out, catalog.Faultf(catalog.NotFound, "there is no %s of this path, only %s", r.Method, strings.Join(allow, ", ")), s.log)
			return
		}
		writeProblem(out, catalog.Faultf(catalog.NotFound, "there is no such path; GET / names what there is"), s.log)
		return
	}
	route = op.path
	if err := s.run(op, out, &request{Request: r, vars: vars}); err != nil {
		writeProblem(out, err, s.log)
	}
}

func (s *Server) run(op *operation, w http.ResponseWriter, r *request) error {
	if err := s.origin.Check(r.Request); err != nil {
		return catalog.Faultf(codeForbidden, "a browser sent this from another site")
	}
	if !op.anyQuery {
		var err error
		if r.query, err = parseQuery(r.URL.RawQuery, op.query); err != nil {
			return err
		}
	}
	if !op.exempt {
		g := s.requests
		if op.stream != nil && op.stream(r) {
			g = s.streams
		}
		if !g.enter() {
			return catalog.Faultf(catalog.Unavailable, "too many requests at once")
		}
		defer g.leave()
	}
	return op.handle(w, r)
}

// response remembers the status.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
