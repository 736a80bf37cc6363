package actors

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a System counts.
type metrics struct {
	flushSeconds  prometheus.Histogram
	flushGroups   prometheus.Histogram
	flushFailures prometheus.Counter
	unresolved    prometheus.Counter
	fenced        prometheus.Counter
	shortCalls    prometheus.Counter
	sidecarCalls  prometheus.Counter
	unknownEvents prometheus.Counter
	clockAlarms   prometheus.Counter
}

func newMetrics(to prometheus.Registerer, open func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "longrun", Name: name, Help: help})
		to.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "longrun", Name: name, Help: help, Buckets: buckets})
		to.MustRegister(h)
		return h
	}
	to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "longrun", Name: "entities_open", Help: "Entities held in memory.",
	}, open))
	return &metrics{
		flushSeconds:  histogram("flush_seconds", "Time of a group commit, until every group in it is resolved.", prometheus.ExponentialBuckets(0.001, 2, 14)),
		flushGroups:   histogram("flush_groups", "Turns written by one group commit.", prometheus.ExponentialBuckets(1, 2, 10)),
		flushFailures: counter("flush_failures_total", "Transactions that failed and were read back."),
		unresolved:    counter("commits_unresolved_total", "Turns whose commit could not be resolved in time."),
		fenced:        counter("turns_fenced_total", "Turns decided again because their commit number or a command id was taken."),
		shortCalls:    counter("calls_short_total", "Calls to entities in this process."),
		sidecarCalls:  counter("calls_sidecar_total", "Calls to entities through the sidecar."),
		unknownEvents: counter("unknown_events_total", "Events read that this release does not know."),
		clockAlarms:   counter("clock_alarms_total", "Turns whose predecessor was stamped more than 60 s ahead of this clock."),
	}
}
