package workflows

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/dapr/durabletask-go/api/protos"
	"google.golang.org/grpc"
)

// intake stands between the library's worker and the connection. The worker
// reads work from a stream for ever and starts a goroutine for everything it
// reads. Left alone it runs any number at once, drops what runs when it is
// stopped, connects again without a pause if the engine ends every stream at
// once, and after a longer outage pauses up to 15 s, stopped or not.
//
// The intake hands out what there is room for, knows from the answers what still
// runs, and says when to connect again. It always reads: a sidecar ends the
// stream, and with it everything that runs, if it could not send for 10 s.
type intake struct {
	grpc.ClientConnInterface
	cfg   EngineConfig
	pumps sync.WaitGroup

	mu       sync.Mutex
	room     [kinds]int
	running  int
	draining bool
	idle     chan struct{} // closed when it drains and nothing runs
	stream   *workStream   // the newest; nil before the first
	pause    *backoff.ExponentialBackOff
}

// The kinds of work.
const (
	turn = iota
	activity
	kinds
)

// steady is how long a stream without any work lives until losing it is news.
const steady = 2 * time.Second

func newIntake(conn grpc.ClientConnInterface, cfg EngineConfig) *intake {
	return &intake{
		ClientConnInterface: conn,
		cfg:                 cfg,
		room:                [kinds]int{turn: cfg.Turns, activity: cfg.Activities},
		idle:                make(chan struct{}),
		pause:               newBackOff(),
	}
}

// Invoke sends what the library sends: a greeting before each stream, and the
// answer to each piece of work, whatever became of it.
func (in *intake) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	switch method {
	case protos.TaskHubSidecarService_Hello_FullMethodName:
		return in.greet(ctx, func() error {
			return in.ClientConnInterface.Invoke(ctx, method, args, reply, append(opts, grpc.WaitForReady(true))...)
		})
	case protos.TaskHubSidecarService_CompleteWorkflowTask_FullMethodName:
		defer in.done(turn)
	case protos.TaskHubSidecarService_CompleteActivityTask_FullMethodName:
		defer in.done(activity)
	default:
		return in.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	}
	err := in.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	if err != nil && ctx.Err() == nil {
		// The engine gave up on it, mostly because the stream was lost, and sends it again.
		in.cfg.Log.Debug("the workflow engine did not take an answer", "error", err)
	}
	return err
}

// greet returns once the engine answers, unless the answer will not change.
func (in *intake) greet(ctx context.Context, hello func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := hello()
		if err != nil && !passing(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	return err
}

// NewStream opens the stream of work, after a pause if the last one was of no use.
func (in *intake) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != protos.TaskHubSidecarService_GetWorkItems_FullMethodName {
		return in.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	}
	if err := in.rest(ctx); err != nil {
		return nil, err
	}
	inner, err := in.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	s := &workStream{ClientStream: inner, in: in, began: time.Now(), news: make(chan struct{}, 1)}
	in.mu.Lock()
	in.stream = s
	in.mu.Unlock()
	in.pumps.Go(s.pump)
	return s, nil
}

// rest is the pause before a stream. While the work drains there is no next one.
func (in *intake) rest(ctx context.Context) error {
	in.mu.Lock()
	var wait time.Duration
	switch {
	case in.stream != nil && in.stream.useful():
		in.pause.Reset()
	case in.stream != nil:
		wait = in.pause.NextBackOff()
	}
	draining := in.draining
	in.mu.Unlock()
	if draining {
		<-ctx.Done()
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (in *intake) done(kind int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.room[kind]++
	in.running--
	if in.draining && in.running == 0 {
		close(in.idle)
	}
	if in.stream != nil {
		in.stream.tell()
	}
}

// drain hands out nothing more and waits for what runs.
func (in *intake) drain(ctx context.Context) error {
	in.mu.Lock()
	if !in.draining {
		in.draining = true
		if in.running == 0 {
			close(in.idle)
		}
	}
	in.mu.Unlock()
	select {
	case <-in.idle:
		return nil
	case <-ctx.Done():
		in.mu.Lock()
		defer in.mu.Unlock()
		return fmt.Errorf("%d turns and activities of workflows still run: %w", in.running, context.Cause(ctx))
	}
}

// workStream is one stream of work. What it still holds when it ends the engine
// sends again.
type workStream struct {
	grpc.ClientStream
	in    *intake
	began time.Time
	news  chan struct{} // something changed for the reader

	// Guarded by in.mu.
	waiting  [kinds][]*protos.WorkItem
	received bool
	err      error // how it ended
	ended    time.Time
}

// pump reads until the stream ends.
func (s *workStream) pump() {
	for {
		item := new(protos.WorkItem)
		err := s.ClientStream.RecvMsg(item)
		s.in.mu.Lock()
		if err != nil {
			s.err, s.ended = err, time.Now()
			s.waiting = [kinds][]*protos.WorkItem{}
		} else {
			kind := turn
			if item.GetActivityRequest() != nil {
				kind = activity
			}
			s.received = true
			s.waiting[kind] = append(s.waiting[kind], item)
		}
		lost := err != nil && !s.in.draining && s.useful()
		s.in.mu.Unlock()
		s.tell()
		if lost {
			s.in.cfg.Log.Warn("the stream of the workflow engine was lost, connecting again", "error", err)
		}
		if err != nil {
			return
		}
	}
}

// useful says whether the stream worked, so that its end is news. in.mu is held.
func (s *workStream) useful() bool {
	return s.received || s.ended.Sub(s.began) > steady
}

func (s *workStream) tell() {
	select {
	case s.news <- struct{}{}:
	default: // the reader has not seen the last one yet
	}
}

// RecvMsg is called by the library's one reader. When the stream has ended while
// the work drains, the library asks for a next one, which waits in rest.
func (s *workStream) RecvMsg(m any) error {
	for {
		item, err := s.take()
		if err != nil {
			return err
		}
		if item != nil {
			into, ok := m.(*protos.WorkItem)
			if !ok {
				return io.ErrUnexpectedEOF // the protocol has changed
			}
			into.Request, into.CompletionToken = item.Request, item.CompletionToken
			return nil
		}
		<-s.news // the end of the stream too
	}
}

// take is the next piece of work that there is room for; nil if there is none.
func (s *workStream) take() (*protos.WorkItem, error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	for kind, waiting := range s.waiting {
		if len(waiting) == 0 || s.in.room[kind] == 0 || s.in.draining {
			continue
		}
		s.waiting[kind] = waiting[1:]
		s.in.room[kind]--
		s.in.running++
		return waiting[0], nil
	}
	return nil, nil
}
