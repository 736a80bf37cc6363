package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// readyTimeout is how long /readyz waits for the system to say.
const readyTimeout = 2 * time.Second

type health struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version"`
}

type readiness struct {
	Status string `json:"status" enum:"ready"`
}

// healthz says that the process lives.
func (s *Server) healthz(w http.ResponseWriter, _ *request) error {
	return writeJSON(w, health{"ok", s.version})
}

// readyz says whether the process can serve: it is unavailable before the
// system is up, when the system says so, and from Drain on.
func (s *Server) readyz(w http.ResponseWriter, r *request) error {
	select {
	case <-s.draining:
		return catalog.Faultf(catalog.Unavailable, "the system is stopping")
	default:
	}
	system, err := s.runtime()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := system.Ready(ctx); err != nil {
		return err
	}
	return writeJSON(w, readiness{"ready"})
}

// measure registers what the HTTP edge measures, and what Go and the system
// measure of the process.
func (s *Server) measure(r *prometheus.Registry) error {
	s.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "longrun_http_request_duration_seconds",
		Help:    "How long requests took, by route and status; of bulks and follows: how long they were open.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"route", "status"})
	s.metricsPage = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return errors.Join(
		r.Register(s.duration),
		r.Register(collectors.NewGoCollector()),
		r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

func (s *Server) showMetrics(w http.ResponseWriter, r *request) error {
	s.metricsPage.ServeHTTP(w, r.Request)
	return nil
}
