package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
)

// lab is what the rows run on: one store, one stack without an app, and this
// process as the app of its sidecar.
type lab struct {
	store   string // "sqlite", "postgres" or "redis"
	bank    string // its binary
	options servers.StackOptions
	stack   *servers.Stack
	sidecar *actors.Sidecar
	state   *actors.StateStore
	current *hosting
	mode    mode // of current
	night   *night
	stops   []func() error
}

// newLab starts the store's server, if it has one, and the stack.
func newLab(ctx context.Context, store, bank string) (*lab, error) {
	l := &lab{store: store, bank: bank}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.close(ctx))
	}
	return l, nil
}

func (l *lab) start(ctx context.Context) (err error) {
	if l.options, err = l.startStore(); err != nil {
		return err
	}
	if l.stack, err = servers.StartStack(l.options); err != nil {
		return err
	}
	l.onClose(l.stack.Stop)
	if l.sidecar, err = actors.Connect(ctx, l.sidecarConfig()); err != nil {
		return err
	}
	l.onClose(l.sidecar.Close)
	l.state, err = actors.NewStateStore(ctx, l.sidecar, stateStore)
	return err
}

func (l *lab) sidecarConfig() actors.SidecarConfig {
	return actors.SidecarConfig{Endpoint: l.stack.DaprGRPC[0], Log: slog.New(slog.DiscardHandler)}
}

// stateStore is the component's name in every set of components.
const stateStore = "statestore"

// startStore starts what the components of a store refer to.
func (l *lab) startStore() (servers.StackOptions, error) {
	switch l.store {
	case "sqlite":
		return servers.StackOptions{Components: "embedded"}, nil
	case "postgres":
		server, err := servers.StartPostgres()
		if err != nil {
			return servers.StackOptions{}, err
		}
		l.onClose(server.Stop)
		return servers.StackOptions{Components: "postgres", Env: []string{"LONGRUN_POSTGRES=" + server.DSN}}, nil
	case "redis":
		server, err := servers.StartRedis()
		if err != nil {
			return servers.StackOptions{}, err
		}
		l.onClose(server.Stop)
		return servers.StackOptions{Components: "redis-env", Env: []string{"LONGRUN_REDIS=" + server.Addr}}, nil
	}
	return servers.StackOptions{}, fmt.Errorf("STORE is %q and should be sqlite, postgres or redis", l.store)
}

func (l *lab) onClose(stop func() error) { l.stops = append(l.stops, stop) }

// mode is how a System is configured.
type mode struct {
	shortWay bool
	maxOpen  int  // 0: the default
	runOn    bool // commands that run on, and bare workflows
}

// host returns a System in this mode and the baseline, hosted. One is hosted at
// a time: an earlier one in another mode is stopped.
func (l *lab) host(ctx context.Context, m mode) (*hosting, error) {
	if l.current != nil && l.mode == m {
		return l.current, nil
	}
	if err := l.unhost(ctx); err != nil {
		return nil, err
	}
	h, err := host(ctx, l.sidecar, l.state, actors.Config{ShortWay: m.shortWay, MaxOpen: m.maxOpen}, m.runOn)
	if err != nil {
		return nil, err
	}
	l.current, l.mode = h, m
	return h, nil
}

func (l *lab) unhost(ctx context.Context) error {
	if l.current == nil {
		return nil
	}
	h := l.current
	l.current = nil
	return h.close(ctx)
}

// close stops everything that was started, the last first.
func (l *lab) close(ctx context.Context) error {
	err := l.unhost(ctx)
	for _, stop := range slices.Backward(l.stops) {
		err = errors.Join(err, stop())
	}
	return err
}
