package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	stopTimeout       = 10 * time.Second // of the system, after the last request
)

// Connect starts the system behind a server. It is given up when ctx ends. Stop
// ends it; it is called once, after the last request.
type Connect func(ctx context.Context) (r Runtime, stop func(context.Context) error, err error)

// Serve runs a server until ctx ends: it listens, so that /healthz answers, then
// starts the system, then serves everything. At the end it lets no more in, ends
// what is in flight within the grace, and stops the system. The error says what
// could not start or stop.
func Serve(ctx context.Context, s *Server, l net.Listener, connect Connect, grace time.Duration, log *slog.Logger) error {
	web := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // of clients that break off
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	log.Info("listening", "address", "http://"+l.Addr().String())

	system, stop, err := connect(ctx)
	running := true
	switch {
	case err == nil:
		s.Use(system)
		log.Info("ready")
		select {
		case <-ctx.Done():
		case err = <-served:
			running = false
		}
	case ctx.Err() != nil:
		err = nil // it was told to stop while it started
	}

	log.Info("stopping")
	s.Drain()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if late := web.Shutdown(end); late != nil {
		err = errors.Join(err, fmt.Errorf("requests in flight did not end within %s", grace), web.Close())
	}
	if running {
		<-served //nolint:errcheck // the server was shut down: http.ErrServerClosed
	}
	if stop == nil {
		return err
	}
	end, cancel = context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, stop(end))
}
