package main

import (
	"context"

	"github.com/longrun-dev/longrun/actors"
)

// warmReads compares reading a projection of an open entity, through the
// sidecar, with an empty actor call: the ceiling of that path.
func warmReads(ctx context.Context, l *lab) (measured, error) {
	const entities = 1000
	h, err := l.host(ctx, mode{})
	if err != nil {
		return measured{}, err
	}
	set, err := targets("read", entities, 1)
	if err != nil {
		return measured{}, err
	}
	if err := warm(ctx, entities, h.commands(set, addUnrecorded)); err != nil {
		return measured{}, err
	}
	ours, base := h.projects(set), h.emptyCalls(set)
	if err := warm(ctx, entities, ours, base); err != nil {
		return measured{}, err
	}
	return compare(ctx, inFlight, ours, base)
}

func (h *hosting) projects(set []target) op {
	return func(ctx context.Context, n uint64) error {
		_, err := h.Project(ctx, set[n%uint64(len(set))].id, totalOfCounter, actors.At{})
		return err
	}
}

func (h *hosting) emptyCalls(set []target) op {
	return func(ctx context.Context, n uint64) error {
		_, err := h.sidecar.Invoke(ctx, baselineType, set[n%uint64(len(set))].id.Key, methodEmpty, nil)
		return err
	}
}
