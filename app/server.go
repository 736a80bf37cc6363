package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/longrun-dev/longrun/internal/catalog"
)

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

// Limits bounds what one process takes on at once.
type Limits struct {
	Requests int // answered at the same time; more are unavailable
	Streams  int // bulks and follows at the same time; more are unavailable
	Window   int // lines of one bulk that are read and not yet answered
}

func (l Limits) withDefaults() Limits {
	return Limits{cmp.Or(l.Requests, 1024), cmp.Or(l.Streams, 128), cmp.Or(l.Window, 4096)}
}

// Server is the HTTP edge: API.md over a Runtime. It serves /healthz from the
// start and everything else once Use gave it a Runtime.
type Server struct {
	catalog     *catalog.Catalog
	limits      Limits
	log         *slog.Logger
	version     string
	mux         http.ServeMux
	commands    map[string]*params // by full name
	classifiers map[*catalog.Classifier]*params
	signals     map[*catalog.Wait]*params
	duration    *prometheus.HistogramVec // of requests, by route and status
	metricsPage http.Handler
	spec        []byte // the OpenAPI document
	index       []byte // GET /, with host for where the server is
	origin      *http.CrossOriginProtection

	system   atomic.Pointer[Runtime]
	requests *semaphore.Weighted
	streams  *semaphore.Weighted
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
		signals:     map[*catalog.Wait]*params{},
		origin:      http.NewCrossOriginProtection(),
		requests:    semaphore.NewWeighted(int64(limits.Requests)),
		streams:     semaphore.NewWeighted(int64(limits.Streams)),
		draining:    make(chan struct{}),
	}
	if err := s.measure(o.Metrics); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	registry := newRegistry()
	if err := s.compile(registry); err != nil {
		return nil, err
	}
	operations := s.operations()
	s.route(operations)
	var err error
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
		for _, w := range waits(c) {
			if s.signals[w], err = payloadParams(r, w); err != nil {
				errs = append(errs, fmt.Errorf("signal %q of command %q: %w", w.Signal, c.Name, err))
			}
		}
	}
	for entity, classifiers := range s.catalog.Classifiers {
		for _, k := range sorted(classifiers) {
			p, err := classifierParams(r, k)
			for _, reserved := range []urlParam{paramAsOf, paramCursor, paramLimit} {
				if err == nil && p.object().Properties[reserved.name] != nil {
					err = fmt.Errorf("a parameter cannot be named %s: in URLs that is %s", reserved.name, reserved.doc)
				}
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("classifier %q of %q: %w", k.Name, entity, err))
			}
			s.classifiers[k] = p
		}
	}
	return errors.Join(errs...)
}

// waits are the signals that a command declares.
func waits(c *catalog.Command) []*catalog.Wait {
	var all []*catalog.Wait
	for _, step := range c.Steps {
		if step.Wait != nil {
			all = append(all, step.Wait)
		}
	}
	return all
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

// request is what a handler gets: a request whose query is read.
type request struct {
	*http.Request
	query *urlQuery
}

// operation is one call of the API, to serve and to document.
type operation struct {
	id, method, path string
	summary          string
	query            []urlParam
	anyQuery         bool     // the handler checks the query itself
	headers          []string // that it takes
	answer           any      // a value of the type of the answer's body; nil: not JSON, or documented by itself
	status           int      // of the answer; 0 is 200
	exempt           bool     // from limits
	stream           func(*request) bool
	hidden           bool // from the document
	handle           func(http.ResponseWriter, *request) error
}

// noRoute is the route of what has none, in the metrics.
const noRoute = "none"

// route lets every operation be found; what is none of them is a problem too.
func (s *Server) route(operations []*operation) {
	methods := map[string][]string{}
	for _, op := range operations {
		s.mux.Handle(op.method+" "+exactly(op.path), s.answer(op.path, func(w http.ResponseWriter, r *http.Request) error {
			return s.run(op, w, &request{Request: r})
		}))
		methods[op.path] = append(methods[op.path], op.method)
	}
	for path, known := range methods {
		slices.Sort(known)
		allow := strings.Join(known, ", ")
		s.mux.Handle(exactly(path), s.answer(noRoute, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", allow)
			return catalog.Faultf(catalog.NotFound, "there is no %s of this path, only %s", r.Method, allow)
		}))
	}
	s.mux.Handle("/", s.answer(noRoute, func(http.ResponseWriter, *http.Request) error {
		return catalog.Faultf(catalog.NotFound, "there is no such path; GET / names what there is")
	}))
}

// exactly is the pattern of a path and nothing below it.
func exactly(path string) string {
	if path == "/" {
		return "/{$}"
	}
	return path
}

// ServeHTTP answers one request; everything that goes wrong is a problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	u.Path, u.RawPath = segmentsAsSent(r.URL.EscapedPath()), ""
	r = r.WithContext(r.Context()) // a copy
	r.URL = &u
	s.mux.ServeHTTP(w, r)
}

// segmentsAsSent is the path that http.ServeMux gets: with every segment still
// escaped, so that none can be empty, ".", ".." or "/", which the mux would clean
// away or not take for a variable. A key may be the last three; request.path
// decodes them, and what has no escape, an empty one, to "".
func segmentsAsSent(escaped string) string {
	if escaped == "/" {
		return escaped
	}
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		switch {
		case i > 0 && segment == "":
			segments[i] = "%"
		case segment == "." || segment == "..":
			segments[i] = strings.ReplaceAll(segment, ".", "%2E")
		}
	}
	return strings.Join(segments, "/")
}

// path is a variable segment of the path, decoded.
func (r *request) path(name string) string {
	value, _ := url.PathUnescape(r.PathValue(name)) // net/http refused what cannot be decoded; "%" is ""
	return value
}

// answer makes a handler of what answers with an error: the error becomes a
// problem, and so does a panic.
func (s *Server) answer(route string, handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &response{ResponseWriter: w}
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
			status := strconv.Itoa(cmp.Or(out.status, http.StatusOK)) // what net/http sends for a handler that wrote nothing
			s.duration.WithLabelValues(route, status).Observe(time.Since(started).Seconds())
			if v != nil {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
		}()
		out.Header().Set("X-Content-Type-Options", "nosniff")
		if err := handle(out, r); err != nil {
			writeProblem(out, err, s.log)
		}
	})
}

// run checks what every operation wants checked, and lets it answer.
func (s *Server) run(op *operation, w http.ResponseWriter, r *request) error {
	if err := s.origin.Check(r.Request); err != nil {
		return catalog.Faultf(codeForbidden, "a browser sent this from another site")
	}
	if coding := contentCoding(r.Header); coding != "" {
		return invalid("Content-Encoding", fmt.Sprintf("%.40q is not taken: send the body as it is", coding))
	}
	if !op.anyQuery {
		var err error
		if r.query, err = parseQuery(r.URL.RawQuery, op.query); err != nil {
			return err
		}
	}
	if !op.exempt {
		limit := s.requests
		if op.stream != nil && op.stream(r) {
			limit = s.streams
		}
		if !limit.TryAcquire(1) {
			return catalog.Faultf(catalog.Unavailable, "too many requests at once")
		}
		defer limit.Release(1)
	}
	return op.handle(w, r)
}

// contentCoding is how a body is encoded, in the words of the request; "" if it
// is not.
func contentCoding(h http.Header) string {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return coding
		}
	}
	return ""
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
