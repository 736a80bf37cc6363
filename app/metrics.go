package app

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what the HTTP edge measures.
type metrics struct {
	duration *prometheus.HistogramVec
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	m := &metrics{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "longrun_http_request_duration_seconds",
		Help:    "How long requests took, by route and status; of bulks and follows: how long they were open.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}, []string{"route", "status"})}
	return m, errors.Join(
		r.Register(m.duration),
		shared(r, collectors.NewGoCollector()),
		shared(r, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

// shared registers a collector of the process, which the registry may have.
func shared(r *prometheus.Registry, c prometheus.Collector) error {
	err := r.Register(c)
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return nil
	}
	return err
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	m.duration.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// metricsPage shows a registry to Prometheus.
func metricsPage(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
