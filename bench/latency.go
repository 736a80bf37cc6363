package main

import "context"

// latency measures how long a recorded command takes when nothing else is in
// flight, with the defaults of `make run`, at a quantile.
func latency(quantile float64) func(context.Context, *lab) (measured, error) {
	return func(ctx context.Context, l *lab) (measured, error) {
		const entities, samples = 100, 600
		h, err := l.host(ctx, mode{shortWay: true})
		if err != nil {
			return measured{}, err
		}
		set, err := targets("latency", entities, 1)
		if err != nil {
			return measured{}, err
		}
		ours, base := h.commands(set, addRecorded), h.baselineAdds(set)
		if err := warm(ctx, entities, ours, base); err != nil {
			return measured{}, err
		}
		times, err := alternate(ctx, samples, ours, base)
		if err != nil {
			return measured{}, err
		}
		return measured{value: milliseconds(times[0], quantile), baseline: milliseconds(times[1], quantile)}, nil
	}
}
