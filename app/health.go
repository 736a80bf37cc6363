package app

import (
	"context"
	"net/http"
	"time"

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

func (s *Server) showMetrics(w http.ResponseWriter, r *request) error {
	s.metricsPage.ServeHTTP(w, r.Request)
	return nil
}
