package berka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// unavailable is an error after which the same may be sent again.
type unavailable struct {
	err   error
	after time.Duration // what the server asks to wait at least
}

func (u *unavailable) Error() string { return u.err.Error() }
func (u *unavailable) Unwrap() error { return u.err }

// retry calls do again while it answers with an *unavailable, with growing
// waits, and gives up when there was no progress for the client's patience.
func (c *client) retry(ctx context.Context, do func(context.Context) (progress bool, err error)) error {
	waits := &backoff.ExponentialBackOff{
		InitialInterval: c.firstWait, Multiplier: 2, RandomizationFactor: 0.2, MaxInterval: 5 * time.Second,
	}
	waits.Reset()
	last := time.Now()
	for {
		progress, err := do(ctx)
		var u *unavailable
		if !errors.As(err, &u) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if progress {
			waits.Reset()
			last = time.Now()
		}
		wait := max(waits.NextBackOff(), u.after)
		if time.Since(last)+wait > c.patience {
			return fmt.Errorf("%s does not answer (for %s): %w", c.url, time.Since(last).Round(time.Second), err)
		}
		c.notice(fmt.Errorf("%w; trying again in %s", err, wait.Round(time.Millisecond)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
