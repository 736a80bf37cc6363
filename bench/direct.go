package main

import (
	"context"
	"strconv"
	"sync/atomic"
)

// inFlight is how many calls a load keeps in flight.
const inFlight = 128

// direct compares direct commands, one event each, with the baseline.
func direct(entities int, command string, shortWay bool) func(context.Context, *lab) (measured, error) {
	return func(ctx context.Context, l *lab) (measured, error) {
		h, err := l.host(ctx, mode{shortWay: shortWay})
		if err != nil {
			return measured{}, err
		}
		set, err := targets("direct-"+strconv.Itoa(entities), entities, 0)
		if err != nil {
			return measured{}, err
		}
		ours, base := h.commands(set, command), h.baselineAdds(set)
		if err := warm(ctx, entities, ours, base); err != nil {
			return measured{}, err
		}
		return compare(ctx, inFlight, ours, base)
	}
}

// warm brings every entity of a load into memory.
func warm(ctx context.Context, entities int, loads ...op) error {
	for _, do := range loads {
		if err := all(ctx, inFlight, uint64(2*entities), do); err != nil {
			return err
		}
	}
	return nil
}

// ids makes command ids that never come again.
var ids atomic.Uint64

func newID() string { return "bench-" + strconv.FormatUint(ids.Add(1), 36) }

// commands goes through the set, a command for each: in the middle of a load no
// two calls are for one entity unless there are fewer entities than calls.
func (h *hosting) commands(set []target, name string) op {
	return func(ctx context.Context, n uint64) error {
		_, err := h.Do(ctx, set[n%uint64(len(set))].command(name, newID()))
		return err
	}
}

// baselineAdds is the same for the baseline.
func (h *hosting) baselineAdds(set []target) op {
	return func(ctx context.Context, n uint64) error {
		t := &set[n%uint64(len(set))]
		_, err := h.sidecar.Invoke(ctx, baselineType, t.id.Key, methodAdd, t.params)
		return err
	}
}
