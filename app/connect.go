package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/workflows"
)

// connect starts the system behind a server on a Dapr sidecar: entities, what
// runs commands on, and the topics. It stops in the other direction.
func connect(cfg Config, server *Server, domains []*catalog.Domain, metrics prometheus.Registerer, log *slog.Logger) Connect {
	return func(ctx context.Context) (r Runtime, stop func(context.Context) error, err error) {
		var up stops
		defer func() {
			if err != nil {
				err = errors.Join(err, up.stop(context.WithoutCancel(ctx)))
				r, stop = nil, nil
			}
		}()
		at := actors.SidecarConfigFromEnv()
		at.CallbackAddr, at.Log = cfg.CallbackAddr, log
		sidecar, err := actors.Connect(ctx, at)
		if err != nil {
			return nil, nil, err
		}
		up.add(func(context.Context) error { return sidecar.Close() })
		store, err := actors.NewStateStore(ctx, sidecar, cfg.StateStore)
		if err != nil {
			return nil, nil, err
		}
		engine, err := newEngine(ctx, cfg, sidecar, log, &up)
		if err != nil {
			return nil, nil, err
		}
		router, err := newRouter(ctx, cfg, server, sidecar, metrics, log)
		if err != nil {
			return nil, nil, err
		}
		system, err := actors.New(domains, store, sidecar, actors.Config{Log: log, Metrics: metrics, ShortWay: cfg.ShortWay, MaxOpen: cfg.MaxOpen})
		if err != nil {
			return nil, nil, err
		}
		up.add(func(context.Context) error { system.Close(); return nil })
		var topics []actors.Topic
		if router != nil {
			topics = router.Topics()
		}
		unhost, err := sidecar.Host(ctx, cfg.ActorHosting, system, topics...)
		if err != nil {
			return nil, nil, err
		}
		up.add(unhost)
		commands := workflows.New(system, engine, workflows.Config{Log: log, SweepIdle: cfg.SweepAfter, SweepEvery: min(cfg.SweepAfter/2, 20*time.Second)})
		up.add(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, stopTimeout/2) // the rest is for the actors
			defer cancel()
			if err := commands.Close(ctx); err != nil {
				log.Warn("workflows were interrupted: they go on where work is done next", "error", err)
			}
			return nil
		})
		if router != nil {
			up.add(func(context.Context) error { router.Stop(); return nil })
		}
		all := &hosted{system, sidecar, commands}
		_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, all.Ready(ctx) }, backoff.WithMaxElapsedTime(0),
			backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 2, MaxInterval: time.Second}),
			backoff.WithNotify(func(err error, _ time.Duration) { log.Info("not ready yet", "error", err) }))
		if err != nil {
			return nil, nil, err
		}
		if err := system.Begin(ctx); err != nil {
			return nil, nil, err
		}
		if err := commands.Begin(ctx); err != nil {
			return nil, nil, err
		}
		if router != nil {
			router.Use(all) // messages have waited for this
		}
		return all, up.stop, nil
	}
}

// stops are how to stop what was started.
type stops []func(context.Context) error

func (s *stops) add(stop func(context.Context) error) { *s = append(*s, stop) }

// stop stops the last first.
func (s *stops) stop(ctx context.Context) (err error) {
	for _, stop := range slices.Backward(*s) {
		err = errors.Join(err, stop(ctx))
	}
	return err
}

// newEngine is what drives commands that run on.
func newEngine(ctx context.Context, cfg Config, sidecar *actors.Sidecar, log *slog.Logger, up *stops) (workflows.Engine, error) {
	common := workflows.EngineConfig{Log: log}
	if cfg.Engine != engineEmbedded {
		return workflows.NewDaprEngine(sidecar.Conn(), common), nil
	}
	embedded := workflows.EmbeddedConfig{EngineConfig: common}
	if strings.HasPrefix(cfg.EmbeddedStore, "postgres://") || strings.HasPrefix(cfg.EmbeddedStore, "postgresql://") {
		embedded.Postgres = cfg.EmbeddedStore
	} else {
		embedded.SQLite = cfg.EmbeddedStore
		if err := os.MkdirAll(filepath.Dir(cfg.EmbeddedStore), 0o700); err != nil {
			return nil, err
		}
	}
	engine, err := workflows.NewEmbeddedEngine(ctx, embedded)
	if err != nil {
		return nil, err
	}
	up.add(func(context.Context) error { return engine.Close() })
	return engine, nil
}

// newRouter is who reads topics; nil if there are none to read. A sidecar without
// a broker serves everything else.
func newRouter(ctx context.Context, cfg Config, server *Server, sidecar *actors.Sidecar, metrics prometheus.Registerer, log *slog.Logger) (*Router, error) {
	if cfg.PubSub == "" {
		return nil, nil
	}
	_, err := sidecar.Component(ctx, cfg.PubSub)
	switch {
	case errors.Is(err, actors.ErrNoComponent):
		log.Warn("no topics are read: the sidecar has no such component; LONGRUN_PUBSUB=off says that this is meant", "component", cfg.PubSub)
		return nil, nil
	case err != nil:
		return nil, err
	}
	return NewRouter(server, RouterOptions{PubSub: cfg.PubSub, Publisher: sidecar, Limit: cfg.Messages, Metrics: metrics})
}

// hosted is a system that is ready only while its sidecar is.
type hosted struct {
	*actors.System
	sidecar  *actors.Sidecar
	commands *workflows.Commands
}

// RunsOn is whoever runs commands that do not end within one turn.
func (h *hosted) RunsOn() Runner { return h.commands }

// Ready says what keeps the system, or its sidecar, from serving.
func (h *hosted) Ready(ctx context.Context) error {
	if err := h.sidecar.Healthy(ctx); err != nil {
		return catalog.Faultf(catalog.Unavailable, "the sidecar: %v", err)
	}
	return h.System.Ready(ctx)
}
