package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A head is written every 64 commits, so it is this much behind at worst.
const headBehind = 63

// openCold measures the calls to the store that it takes to open an entity of
// 10,000 commits of one event, whose head is behind by the most it can be; or
// has been lost, if withHead is false.
func openCold(withHead bool) func(context.Context, *lab) (measured, error) {
	return func(ctx context.Context, l *lab) (measured, error) {
		const commits = 10_000
		w := &writer{store: l.state, id: stream.ID{Type: counterType, Key: "cold-" + newID()}, event: func(uint64) es.Event { return added{1} }}
		if err := w.write(ctx, commits-headBehind); err != nil {
			return measured{}, err
		}
		if withHead {
			if err := l.writeHead(ctx, w.id); err != nil {
				return measured{}, err
			}
		}
		if err := w.write(ctx, headBehind); err != nil {
			return measured{}, err
		}
		t, err := newTap(l.stack.DaprGRPC[0])
		if err != nil {
			return measured{}, err
		}
		m, err := l.openTapped(ctx, t, w.id)
		return m, errors.Join(err, t.close())
	}
}

func (l *lab) openTapped(ctx context.Context, t *tap, id stream.ID) (m measured, err error) {
	at := l.sidecarConfig()
	at.Endpoint = t.addr()
	sidecar, err := actors.Connect(ctx, at)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, sidecar.Close()) }()
	store, err := actors.NewStateStore(ctx, sidecar, stateStore)
	if err != nil {
		return m, err
	}
	system, err := alone(store, domain(), actors.Config{})
	if err != nil {
		return m, err
	}
	defer system.Close()
	start := time.Now()
	_, err = system.Project(ctx, id, totalOfCounter, actors.At{})
	m.value, m.note = float64(t.calls.Load()), fmt.Sprintf("%.0f ms", time.Since(start).Seconds()*1000)
	return m, err
}

// writeHead opens an entity in a System of its own: at its end that writes a head.
func (l *lab) writeHead(ctx context.Context, id stream.ID) error {
	system, err := alone(l.state, domain(), actors.Config{})
	if err != nil {
		return err
	}
	defer system.Close()
	_, err = system.Project(ctx, id, totalOfCounter, actors.At{})
	return err
}

// alone makes a System that hosts nothing: what it is asked for it opens itself.
func alone(store stream.Store, d es.Domain, cfg actors.Config) (*actors.System, error) {
	return actors.New([]*catalog.Domain{d.Catalog()}, store, nil, cfg)
}
