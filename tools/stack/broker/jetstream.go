package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	contribmeta "github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"
	kitmeta "github.com/dapr/kit/metadata"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStream is a pub/sub component over JetStream that hands out many messages
// at once and loses none.
//
// Dapr's own, of which it takes the name and the settings below, cannot do both:
// with concurrency parallel the NATS client acknowledges a message as soon as its
// handler has been started (components-contrib #3656, #3922), so a killed app
// loses what it was handling; with concurrency single one waiting handler holds
// up its topic. A message here is acknowledged once its handler has succeeded. It
// is delivered again sooner if the sidecar dies (ackWait, which is extended while
// a handler works), and later each time it is refused (firstDelay to lastDelay).
type jetStream struct {
	log    logger.Logger
	meta   jetStreamMetadata
	conn   *nats.Conn
	js     jetstream.JetStream
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

// jetStreamMetadata are the settings that Dapr's component has too.
type jetStreamMetadata struct {
	NatsURL     string `mapstructure:"natsURL"`
	Name        string `mapstructure:"name"`
	DurableName string `mapstructure:"durableName"`
}

const (
	ackWait        = 10 * time.Second
	stillWorking   = ackWait / 3
	firstDelay     = 100 * time.Millisecond
	lastDelay      = 5 * time.Second
	publishTimeout = 5 * time.Second
	// fetchAhead is how many messages one sidecar takes before it has started on
	// them; a small number spreads them over the replicas.
	fetchAhead = 100
)

// NewJetStream makes the component.
func NewJetStream(log logger.Logger) pubsub.PubSub {
	return &jetStream{log: log, closed: make(chan struct{})}
}

// Init connects. Afterwards the connection is tried for ever, so that the broker
// can be restarted.
func (j *jetStream) Init(_ context.Context, md pubsub.Metadata) error {
	if err := kitmeta.DecodeMetadata(md.Properties, &j.meta); err != nil {
		return err
	}
	if j.meta.NatsURL == "" || j.meta.DurableName == "" {
		return errors.New("natsURL and durableName must be set")
	}
	conn, err := nats.Connect(j.meta.NatsURL, nats.Name(j.meta.Name),
		nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	j.conn = conn
	j.js, err = jetstream.New(conn, jetstream.WithPublishAsyncTimeout(publishTimeout))
	return err
}

func (j *jetStream) Features() []pubsub.Feature { return nil }

// Publish returns once the broker has stored the message. A message whose event
// id was published in the last two minutes is not stored again.
func (j *jetStream) Publish(ctx context.Context, req *pubsub.PublishRequest) error {
	future, err := j.send(req.Topic, req.Data)
	if err == nil {
		err = j.stored(ctx, future, req.Topic, req.Data)
	}
	if err != nil {
		return pubsub.NewRetriableError(err)
	}
	return nil
}

// BulkPublish sends all messages and then waits for all of them, which takes
// little more time than one.
func (j *jetStream) BulkPublish(ctx context.Context, req *pubsub.BulkPublishRequest) (pubsub.BulkPublishResponse, error) {
	futures := make([]jetstream.PubAckFuture, len(req.Entries))
	errs := make([]error, len(req.Entries))
	for i, e := range req.Entries {
		futures[i], errs[i] = j.send(req.Topic, e.Event)
	}
	var resp pubsub.BulkPublishResponse
	var failed error
	for i, e := range req.Entries {
		if errs[i] == nil {
			errs[i] = j.stored(ctx, futures[i], req.Topic, e.Event)
		}
		if errs[i] != nil {
			failed = errs[i]
			resp.FailedEntries = append(resp.FailedEntries, pubsub.BulkPublishResponseFailedEntry{EntryId: e.EntryId, Error: failed})
		}
	}
	return resp, failed
}

// send hands a message to the connection, which keeps it while the broker is
// being restarted.
func (j *jetStream) send(topic string, data []byte) (jetstream.PubAckFuture, error) {
	return j.js.PublishAsync(topic, data, publishOptions(data)...)
}

// stored waits for the broker's answer. When the connection breaks, the message
// is sent again: its id keeps it from being stored twice.
func (j *jetStream) stored(ctx context.Context, future jetstream.PubAckFuture, topic string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for {
		select {
		case <-future.Ok():
			return nil
		case err := <-future.Err():
			if !errors.Is(err, nats.ErrDisconnected) {
				return err
			}
			if future, err = j.send(topic, data); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func publishOptions(data []byte) []jetstream.PublishOpt {
	var event struct{ ID string }
	if json.Unmarshal(data, &event) != nil || event.ID == "" {
		return nil
	}
	return []jetstream.PublishOpt{jetstream.WithMsgID(event.ID)}
}

// Subscribe delivers until ctx ends or the component is closed. All replicas
// share one durable consumer for each topic.
func (j *jetStream) Subscribe(ctx context.Context, req pubsub.SubscribeRequest, handler pubsub.Handler) error {
	stream, err := j.js.StreamNameBySubject(ctx, req.Topic)
	if err != nil {
		return fmt.Errorf("topic %s: %w", req.Topic, err)
	}
	consumer, err := j.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable:       j.meta.DurableName,
		FilterSubject: req.Topic,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
	})
	if err != nil {
		return fmt.Errorf("topic %s: %w", req.Topic, err)
	}
	deliver := func(m jetstream.Msg) {
		j.wg.Go(func() { j.handle(ctx, req.Topic, m, handler) })
	}
	onError := jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		j.log.Debugf("topic %s: %v", req.Topic, err)
	})
	consuming, err := consumer.Consume(deliver, jetstream.PullMaxMessages(fetchAhead), onError)
	if err != nil {
		return fmt.Errorf("topic %s: %w", req.Topic, err)
	}
	j.wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-j.closed:
		}
		consuming.Drain()
		<-consuming.Closed()
	})
	return nil
}

// handle runs the handler for one message and tells the broker how it ended.
func (j *jetStream) handle(ctx context.Context, topic string, m jetstream.Msg, handler pubsub.Handler) {
	if ctx.Err() != nil {
		_ = m.Nak() // another replica takes it at once
		return
	}
	done := make(chan error, 1)
	go func() {
		done <- handler(ctx, &pubsub.NewMessage{Topic: topic, Data: m.Data(), Metadata: map[string]string{"Topic": m.Subject()}})
	}()
	tick := time.NewTicker(stillWorking)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				err = m.Ack()
			} else {
				err = m.NakWithDelay(delay(m))
			}
			if err != nil { // it will be delivered again
				j.log.Debugf("topic %s: %v", topic, err)
			}
			return
		case <-tick.C:
			_ = m.InProgress()
		}
	}
}

// delay grows with every delivery.
func delay(m jetstream.Msg) time.Duration {
	d := firstDelay
	if meta, err := m.Metadata(); err == nil {
		for i := uint64(1); i < meta.NumDelivered && d < lastDelay; i++ {
			d *= 2
		}
	}
	return min(d, lastDelay)
}

// Close waits for the handlers that are running.
func (j *jetStream) Close() error {
	j.once.Do(func() { close(j.closed) })
	j.wg.Wait()
	if j.conn == nil {
		return nil
	}
	return j.conn.Drain()
}

func (j *jetStream) GetComponentMetadata() (info contribmeta.MetadataMap) {
	_ = contribmeta.GetMetadataInfoFromStructType(reflect.TypeFor[jetStreamMetadata](), &info, contribmeta.PubSubType)
	return info
}
