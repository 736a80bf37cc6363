package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/workflows"
)

// hosting is a System and the baseline, hosted side by side on one sidecar.
type hosting struct {
	*actors.System
	baseline *baseline
	sidecar  *actors.Sidecar
	stop     func(context.Context) error

	running *workflows.Commands // nil unless commands run on
	bare    *bare
}

var _ actors.Handler = (*hosting)(nil)

// host starts both, over the actor event stream: the fastest way of hosting.
func host(ctx context.Context, sidecar *actors.Sidecar, store *actors.StateStore, cfg actors.Config, runOn bool) (*hosting, error) {
	system, err := actors.New([]*catalog.Domain{domain().Catalog()}, store, sidecar, cfg)
	if err != nil {
		return nil, err
	}
	h := &hosting{System: system, sidecar: sidecar, baseline: &baseline{api: sidecar.Client().GrpcClient()}}
	if h.stop, err = sidecar.Host(ctx, actors.HostStream, h); err != nil {
		system.Close()
		return nil, err
	}
	err = h.awaitActors(ctx)
	if err == nil && runOn {
		err = h.runOn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

// awaitActors waits until calls to both arrive.
func (h *hosting) awaitActors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := h.tryActors(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no actors: %w", err)
		case <-tick.C:
		}
	}
}

// tryActors gives up early: a call that meets a change of placement can hang.
func (h *hosting) tryActors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := h.sidecar.Invoke(ctx, baselineType, "awake", methodEmpty, nil); err != nil {
		return err
	}
	return h.Begin(ctx)
}

func (h *hosting) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	var err error
	if h.running != nil {
		err = h.running.Close(ctx)
	}
	err = errors.Join(err, h.stop(ctx))
	h.Close()
	return err
}

// Types are those of the System and the baseline's (actors.Handler).
func (h *hosting) Types() []string { return append(h.System.Types(), baselineType) }

// Invoke serves a call for either (actors.Handler).
func (h *hosting) Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error) {
	if actorType == baselineType {
		return h.baseline.invoke(ctx, actorID, method, payload)
	}
	return h.System.Invoke(ctx, actorType, actorID, method, payload)
}

// Deactivate drops an actor of either from memory (actors.Handler).
func (h *hosting) Deactivate(ctx context.Context, actorType, actorID string) {
	if actorType == baselineType {
		h.baseline.heads.Delete(actorID)
		return
	}
	h.System.Deactivate(ctx, actorType, actorID)
}

// Lost drops everything from memory (actors.Handler).
func (h *hosting) Lost() {
	h.baseline.heads.Clear()
	h.System.Lost()
}
