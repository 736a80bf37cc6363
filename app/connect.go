package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// connect starts the system on a Dapr sidecar.
func connect(cfg Config, domains []*catalog.Domain, metrics prometheus.Registerer, log *slog.Logger) Connect {
	return func(ctx context.Context) (r Runtime, stop func(context.Context) error, err error) {
		at := actors.SidecarConfigFromEnv()
		at.CallbackAddr, at.Log = cfg.CallbackAddr, log
		sidecar, err := actors.Connect(ctx, at)
		if err != nil {
			return nil, nil, err
		}
		stop = func(context.Context) error { return sidecar.Close() }
		defer func() {
			if err != nil {
				err = errors.Join(err, stop(context.WithoutCancel(ctx)))
				stop = nil
			}
		}()
		store, err := actors.NewStateStore(ctx, sidecar, cfg.StateStore)
		if err != nil {
			return nil, stop, err
		}
		system, err := actors.New(domains, store, sidecar, actors.Config{Log: log, Metrics: metrics, ShortWay: cfg.ShortWay, MaxOpen: cfg.MaxOpen})
		if err != nil {
			return nil, stop, err
		}
		unhost, err := sidecar.Host(ctx, cfg.ActorHosting, system)
		if err != nil {
			system.Close()
			return nil, stop, err
		}
		stop = func(ctx context.Context) error {
			err := unhost(ctx)
			system.Close()
			return errors.Join(err, sidecar.Close())
		}
		up := &hosted{system, sidecar}
		_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, up.Ready(ctx) }, backoff.WithMaxElapsedTime(0),
			backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 2, MaxInterval: time.Second}),
			backoff.WithNotify(func(err error, _ time.Duration) { log.Info("not ready yet", "error", err) }))
		if err != nil {
			return nil, stop, err
		}
		return up, stop, system.Begin(ctx)
	}
}

// hosted is a system that is ready only while its sidecar is.
type hosted struct {
	*actors.System
	sidecar *actors.Sidecar
}

// Ready says what keeps the system, or its sidecar, from serving.
func (h *hosted) Ready(ctx context.Context) error {
	if err := h.sidecar.Healthy(ctx); err != nil {
		return catalog.Faultf(catalog.Unavailable, "the sidecar: %v", err)
	}
	return h.System.Ready(ctx)
}
