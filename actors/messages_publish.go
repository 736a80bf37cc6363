package actors

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
)

// bulkBytes is what one call of Publish to the sidecar holds at most.
const bulkBytes = 3 << 20

// Outgoing is a message to publish.
type Outgoing struct {
	// ID is the id of its CloudEvent; made if empty. A broker that knows ids drops
	// one that it has seen, so a message that is sent again keeps its id.
	ID   string
	Data []byte
	// ContentType is that of Data. With application/cloudevents+json Data is the
	// whole CloudEvent, with its own id. Default application/json.
	ContentType string
	// Metadata goes to Dapr, such as cloudevent.type or ttlInSeconds.
	Metadata map[string]string
}

// Publish returns once the broker has all messages. After an error some of them,
// or all, may have been published. A call without a deadline gets
// cfg.CallTimeout.
func (s *Sidecar) Publish(ctx context.Context, pubsub, topic string, messages ...Outgoing) error {
	ctx, cancel := withDeadline(ctx, s.cfg.CallTimeout)
	defer cancel()
	for len(messages) > 0 {
		n, size := 1, len(messages[0].Data)
		for n < len(messages) && size+len(messages[n].Data) <= bulkBytes {
			size += len(messages[n].Data)
			n++
		}
		publish := s.publishBulk
		if n == 1 {
			publish = s.publishOne
		}
		if err := publish(ctx, pubsub, topic, messages[:n]); err != nil {
			return fmt.Errorf("publishing to topic %s of %s: %w", topic, pubsub, err)
		}
		messages = messages[n:]
	}
	return nil
}

func (s *Sidecar) publishOne(ctx context.Context, pubsub, topic string, m []Outgoing) error {
	_, err := s.api.PublishEvent(ctx, &pb.PublishEventRequest{
		PubsubName: pubsub, Topic: topic, Data: m[0].Data, DataContentType: m[0].contentType(), Metadata: m[0].metadata(),
	})
	return err
}

// publishBulk uses the name of the call that every version has.
func (s *Sidecar) publishBulk(ctx context.Context, pubsub, topic string, messages []Outgoing) error {
	entries := make([]*pb.BulkPublishRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = &pb.BulkPublishRequestEntry{
			EntryId: strconv.Itoa(i), Event: m.Data, ContentType: m.contentType(), Metadata: m.metadata(),
		}
	}
	answer, err := s.api.BulkPublishEventAlpha1( //nolint:staticcheck // the new name is unknown to older sidecars
		ctx, &pb.BulkPublishRequest{PubsubName: pubsub, Topic: topic, Entries: entries})
	if err != nil {
		return err
	}
	if failed := answer.GetFailedEntries(); len(failed) > 0 {
		return fmt.Errorf("%d of %d messages failed: %s", len(failed), len(messages), failed[0].GetError())
	}
	return nil
}

func (m Outgoing) contentType() string {
	if m.ContentType == "" {
		return "application/json"
	}
	return m.ContentType
}

// metadata is never nil: the sidecar takes an entry's own only if there is some.
func (m Outgoing) metadata() map[string]string {
	all := maps.Clone(m.Metadata)
	if all == nil {
		all = map[string]string{}
	}
	if m.ID != "" {
		all["cloudevent.id"] = m.ID
	}
	return all
}
