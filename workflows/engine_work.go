package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/dapr/durabletask-go/workflow"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (e *engine) Work(ctx context.Context, r *workflow.Registry) (stop func(context.Context) error, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.working {
		return nil, errors.New("the engine is at work already")
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := newIntake(e.conn, e.cfg)
	giveUp := context.AfterFunc(ctx, cancel) // until the engine has answered once
	err = workflow.NewClientWithLogger(w, chatter{e.cfg.Log}).StartWorker(running, r)
	if !giveUp() {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		w.pumps.Wait()
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	e.working = true
	return func(ctx context.Context) error {
		defer func() {
			cancel()
			w.pumps.Wait()
			e.mu.Lock()
			defer e.mu.Unlock()
			e.working = false
		}()
		return w.drain(ctx)
	}, nil
}

// passing says whether an error of an engine may go away by itself.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument, codes.FailedPrecondition:
		return false
	}
	return true
}

// newBackOff is the pause between attempts to reach an engine: it is mostly on
// this machine, so it is short. It never gives up.
func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 50 * time.Millisecond
	b.MaxInterval = 2 * time.Second
	return b
}
