package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Topic is a topic that this process reads, and what it does with a message.
type Topic struct {
	PubSub string // the name of the component
	Name   string
	Limit  int // messages handled at the same time; default 64

	// Handle handles one message, many at a time. Nil means done: the message is
	// acknowledged and does not come again. After an error or a panic, which are
	// logged, it is delivered again: at once or after a while, to this process or
	// another one, and some brokers give up after a number of times. So Handle
	// waits by itself for as long as that makes sense before it gives up.
	//
	// A message comes at least once, in any order, and again while an earlier
	// delivery of it is still being handled if the connection broke. ctx ends when
	// the message can no longer be acknowledged.
	Handle func(ctx context.Context, m Message) error
}

// rawPayload has Dapr deliver messages as they are at the broker (readMessage).
var rawPayload = map[string]string{"rawPayload": "true"}

// checkTopics says what is wrong with topics.
func checkTopics(topics []Topic) error {
	type name struct{ pubsub, topic string }
	seen := map[name]bool{}
	var faults []error
	for _, t := range topics {
		switch {
		case t.PubSub == "" || t.Name == "" || t.Handle == nil || t.Limit < 0:
			faults = append(faults, fmt.Errorf("topic %q of %q: it needs both names, a handler and no negative limit", t.Name, t.PubSub))
		case seen[name{t.PubSub, t.Name}]:
			faults = append(faults, fmt.Errorf("topic %q of %q is read twice", t.Name, t.PubSub))
		}
		seen[name{t.PubSub, t.Name}] = true
	}
	return errors.Join(faults...)
}

// inbox is a topic that is being read, whichever way its messages arrive.
type inbox struct {
	Topic
	log   *slog.Logger
	calls gate
	slots chan struct{} // one for each message that is handled
}

func newInbox(t Topic, log *slog.Logger) *inbox {
	if t.Limit == 0 {
		t.Limit = 64
	}
	return &inbox{Topic: t, log: log.With("pubsub", t.PubSub, "topic", t.Name), slots: make(chan struct{}, t.Limit)}
}

// take waits until one more message may be handled, or ctx ends; then there is
// nothing to give back.
func (i *inbox) take(ctx context.Context) error {
	select {
	case i.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (i *inbox) giveBack() { <-i.slots }

// handle says whether a message is done. Why it is not cannot be said to the
// sidecar, so it is logged.
func (i *inbox) handle(ctx context.Context, raw []byte) (done bool) {
	m := readMessage(i.Name, raw)
	_, err := protect(i.log, "topic "+i.Name, func() ([]byte, error) { return nil, i.Handle(ctx, m) })
	if err != nil {
		i.log.Warn("a message was not handled and will come again", "id", m.ID, "error", err)
	}
	return err == nil
}

// drain lets no more messages in and waits for those that are being handled.
func (i *inbox) drain(ctx context.Context) error {
	select {
	case <-i.calls.close():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("messages of topic %s are still being handled: %w", i.Name, context.Cause(ctx))
	}
}

// inboxes are all topics that this process reads.
type inboxes []*inbox

func newInboxes(topics []Topic, log *slog.Logger) (all inboxes) {
	for _, t := range topics {
		all = append(all, newInbox(t, log))
	}
	return all
}

// drain stops all at once, so that they wait side by side.
func (all inboxes) drain(ctx context.Context) (err error) {
	for _, i := range all {
		i.calls.close()
	}
	for _, i := range all {
		err = errors.Join(err, i.drain(ctx))
	}
	return err
}
