package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// newComponent returns the component on a broker with Longrun's topics.
func newComponent(t *testing.T) *jetStream {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	if err := createTopics(t.Context(), srv, []string{"more.topics"}); err != nil {
		t.Fatal(err)
	}
	c := NewJetStream(logger.NewLogger("test")).(*jetStream)
	if err := c.Init(t.Context(), pubsub.Metadata{Base: metadata.Base{Properties: map[string]string{
		"natsURL": srv.ClientURL(), "durableName": "longrun", "queueGroupName": "longrun", "name": "longrun",
	}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func publish(t *testing.T, c *jetStream, data ...string) {
	t.Helper()
	for _, d := range data {
		if err := c.Publish(t.Context(), &pubsub.PublishRequest{Topic: "commands", Data: []byte(d)}); err != nil {
			t.Fatal(err)
		}
	}
}

// pending is how many messages are delivered and not acknowledged.
func pending(t *testing.T, c *jetStream) int {
	t.Helper()
	consumer, err := c.js.Consumer(t.Context(), "commands", "longrun")
	if err != nil {
		t.Fatal(err)
	}
	return consumer.CachedInfo().NumAckPending
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// Messages are handled side by side, and each is acknowledged only once its
// handler is done.
func TestAcknowledgesWhatIsDone(t *testing.T) {
	c := newComponent(t)
	var together sync.WaitGroup
	together.Add(2)
	release := make(chan struct{})
	err := c.Subscribe(t.Context(), pubsub.SubscribeRequest{Topic: "commands"}, func(context.Context, *pubsub.NewMessage) error {
		together.Done()
		<-release
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, c, "a", "b")
	together.Wait()
	if n := pending(t, c); n != 2 {
		t.Errorf("%d of 2 messages wait for their handlers", n)
	}
	close(release)
	within(t, "both are acknowledged", func() bool { return pending(t, c) == 0 })
}

// A refused message comes again, with growing delays, to whoever subscribes.
func TestDeliversAgain(t *testing.T) {
	c := newComponent(t)
	first, cancel := context.WithCancel(t.Context())
	tries := make(chan struct{}, 10)
	if err := c.Subscribe(first, pubsub.SubscribeRequest{Topic: "commands"}, func(context.Context, *pubsub.NewMessage) error {
		tries <- struct{}{}
		return errors.New("not yet")
	}); err != nil {
		t.Fatal(err)
	}
	publish(t, c, "a")
	<-tries
	<-tries
	cancel()
	got := make(chan string, 10)
	if err := c.Subscribe(t.Context(), pubsub.SubscribeRequest{Topic: "commands"}, func(_ context.Context, m *pubsub.NewMessage) error {
		got <- string(m.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if data := <-got; data != "a" {
		t.Errorf("got %q", data)
	}
	within(t, "it is acknowledged", func() bool { return pending(t, c) == 0 })
}

// An event id is stored once, however it is published; messages without an id are
// all stored.
func TestStoresAnEventOnce(t *testing.T) {
	c := newComponent(t)
	event := []byte(`{"id":"1","data":"x"}`)
	publish(t, c, string(event), string(event))
	resp, err := c.BulkPublish(t.Context(), &pubsub.BulkPublishRequest{Topic: "commands", Entries: []pubsub.BulkMessageEntry{
		{EntryId: "a", Event: event}, {EntryId: "b", Event: []byte("plain")}, {EntryId: "c", Event: []byte("plain")},
	}})
	if err != nil || len(resp.FailedEntries) != 0 {
		t.Fatalf("%v, %v", err, resp)
	}
	stream, err := c.js.Stream(t.Context(), "commands")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 3 {
		t.Errorf("%d messages stored, want 3", n)
	}
}

// A topic that nobody created is refused, in a bulk for every entry.
func TestRefusesAnUnknownTopic(t *testing.T) {
	c := newComponent(t)
	if err := c.Publish(t.Context(), &pubsub.PublishRequest{Topic: "nowhere", Data: []byte("x")}); err == nil {
		t.Error("published to a topic that does not exist")
	}
	resp, err := c.BulkPublish(t.Context(), &pubsub.BulkPublishRequest{Topic: "nowhere", Entries: []pubsub.BulkMessageEntry{{EntryId: "a"}, {EntryId: "b"}}})
	if !errors.Is(err, jetstream.ErrNoStreamResponse) || len(resp.FailedEntries) != 2 {
		t.Errorf("%v, %v", err, resp)
	}
	if err := c.Subscribe(t.Context(), pubsub.SubscribeRequest{Topic: "nowhere"}, nil); err == nil {
		t.Error("subscribed to a topic that does not exist")
	}
}
