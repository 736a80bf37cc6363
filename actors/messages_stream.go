package actors

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
)

const (
	// maxDelivery is what a delivered message may hold, in bytes. What was
	// published within maxMessage grows when it is put into an envelope.
	maxDelivery = 32 << 20
	// confirmTimeout is how long the sidecar may take to end a stream once every
	// message in flight is answered. It has read the answers by then; what takes
	// long is giving back messages that were not handled.
	confirmTimeout = 5 * time.Second
)

// streamTopics read topics over streaming subscriptions, one stream for each:
// this process calls the sidecar and answers the messages that arrive.
//
// It is not the SDK's Subscribe, which tries once to subscribe again and then
// ends, answers messages of a lost stream on the new one, ends for ever when a
// stream ends with code Canceled, knows no limit, and ends the process when a
// handler panics.
type streamTopics struct {
	inboxes
	readers []*topicReader
	cancel  context.CancelFunc // ends everything at once
	wg      sync.WaitGroup
}

// startStreamTopics returns at once; topics that cannot be read yet are tried
// for ever, so that a broker that is down keeps nothing else from starting.
func startStreamTopics(conn *grpc.ClientConn, cfg SidecarConfig, topics []Topic) *streamTopics {
	ctx, cancel := context.WithCancel(context.Background())
	s := &streamTopics{inboxes: newInboxes(topics, cfg.Log), cancel: cancel}
	for _, i := range s.inboxes {
		r := &topicReader{inbox: i, conn: conn, api: pb.NewDaprClient(conn)}
		var running context.Context
		running, r.cancel = context.WithCancel(ctx)
		s.readers = append(s.readers, r)
		s.wg.Go(func() { r.run(running) })
	}
	return s
}

// stop handles no new message and waits for those that are being handled, then
// until the sidecar has their answers. What it was sent meanwhile it keeps
// without an answer: a refusal would bring it back, and some brokers count those.
func (s *streamTopics) stop(ctx context.Context) error {
	err := s.drain(ctx)
	if err == nil {
		for _, r := range s.readers {
			r.end()
		}
		ended := make(chan struct{})
		go func() {
			s.wg.Wait()
			close(ended)
		}()
		confirmed, done := context.WithTimeout(ctx, confirmTimeout)
		defer done()
		select {
		case <-ended:
		case <-confirmed.Done():
		}
	}
	s.cancel()
	s.wg.Wait()
	return err
}

// topicReader reads one topic.
type topicReader struct {
	*inbox
	conn   *grpc.ClientConn
	api    pb.DaprClient
	cancel context.CancelFunc // ends run

	mu   sync.Mutex
	live *topicStream // nil while there is none
}

// run subscribes, and again whenever the stream is lost, however it ended, until
// the topic is stopped.
func (r *topicReader) run(ctx context.Context) {
	pause := newBackOff()
	for failures := 0; ; failures++ {
		s, err := r.subscribe(ctx)
		if err == nil {
			r.log.Info("reading the topic")
			r.setLive(s)
			began := time.Now()
			err = r.serve(s)
			r.setLive(nil)
			s.cancel() // messages of this stream can no longer be acknowledged
			if time.Since(began) > pause.MaxInterval {
				pause.Reset()
			}
			failures = 0
		}
		if ctx.Err() != nil || r.calls.closed() {
			return
		}
		if failures == 0 {
			r.log.Warn("the topic is not read, subscribing again", "error", err)
		} else {
			r.log.Debug("subscribing to the topic failed", "error", err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// sleep reports whether the pause is over; ctx may end it.
func sleep(ctx context.Context, pause *backoff.ExponentialBackOff) bool {
	timer := time.NewTimer(pause.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// subscribe returns once the sidecar delivers. It waits for a sidecar that is
// away.
func (r *topicReader) subscribe(ctx context.Context) (s *topicStream, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	s = &topicStream{cancel: cancel}
	s.stream, err = r.api.SubscribeTopicEventsAlpha1(ctx, grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(maxDelivery))
	if err != nil {
		return nil, err
	}
	err = s.send(&pb.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &pb.SubscribeTopicEventsRequestAlpha1_InitialRequest{
			InitialRequest: &pb.SubscribeTopicEventsRequestInitialAlpha1{
				PubsubName: r.PubSub, Topic: r.Name, Metadata: rawPayload,
			},
		},
	})
	first, reason := s.stream.Recv()
	switch {
	case reason != nil: // what the stream ended with, also if it could not be sent on
		return nil, reason
	case err != nil:
		return nil, err
	case first.GetInitialResponse() == nil:
		return nil, fmt.Errorf("the sidecar answered the subscription with %T", first.GetSubscribeTopicEventsResponseType())
	}
	// serve may be waiting for a handler, and would not see the end of the stream.
	go giveUpWithConnection(ctx, r.conn, cancel)
	return s, nil
}

func (r *topicReader) setLive(s *topicStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = s
}

// end has the sidecar end the stream once it has read every answer. Where there
// is no stream, nothing waits for an answer.
func (r *topicReader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		r.cancel()
		return
	}
	r.live.closeSend()
}

// serve handles what arrives on the stream until it ends. It reads no further
// than it may handle, so that the rest waits at the sidecar.
func (r *topicReader) serve(s *topicStream) error {
	for {
		if err := r.take(s.stream.Context()); err != nil {
			return err
		}
		msg, err := s.stream.Recv()
		if err != nil {
			r.giveBack()
			return err
		}
		if !r.calls.enter() {
			r.giveBack()
			continue // see stop
		}
		go r.message(s, msg.GetEventMessage())
	}
}

// message handles one message and answers it.
func (r *topicReader) message(s *topicStream, m *pb.TopicEventRequest) {
	defer r.giveBack()
	defer r.calls.leave()
	status := pb.TopicEventResponse_RETRY
	if r.handle(s.stream.Context(), m.GetData()) {
		status = pb.TopicEventResponse_SUCCESS
	}
	// The id is Dapr's own for this delivery, because the payload is raw.
	if err := s.send(&pb.SubscribeTopicEventsRequestAlpha1{
		SubscribeTopicEventsRequestType: &pb.SubscribeTopicEventsRequestAlpha1_EventProcessed{
			EventProcessed: &pb.SubscribeTopicEventsRequestProcessedAlpha1{
				Id: m.GetId(), Status: &pb.TopicEventResponse{Status: status},
			},
		},
	}); err != nil { // the stream is gone: the message will come again
		r.log.Debug("a message could not be acknowledged", "error", err)
	}
}

// topicStream is one stream to the sidecar. gRPC allows one sender at a time.
type topicStream struct {
	stream pb.Dapr_SubscribeTopicEventsAlpha1Client
	cancel context.CancelFunc
	mu     sync.Mutex
}

func (s *topicStream) send(msg *pb.SubscribeTopicEventsRequestAlpha1) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(msg)
}

func (s *topicStream) closeSend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.CloseSend() // always nil
}
