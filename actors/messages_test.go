package actors

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What an envelope says arrives, and what is no envelope arrives as it is. What
// Dapr makes of what is published is in tests/messages_test.go.
func TestReadMessage(t *testing.T) {
	for raw, want := range map[string]Message{
		`{"specversion":"1.0","id":"1","data":{"n":12345678901234567890}}`: {ID: "1", Data: []byte(`{"n":12345678901234567890}`)},
		`{"specversion":"1.0","id":"1","datacontenttype":"application/json; charset=utf-8","data":"x"}`: {
			ID: "1", ContentType: "application/json; charset=utf-8", Data: []byte(`"x"`),
		},
		`{"specversion":"1.0","datacontenttype":"application/json","data":null}`: {ContentType: "application/json", Data: []byte("null")},
		`{"specversion":"1.0","datacontenttype":"text/plain","data":null}`:       {ContentType: "text/plain"},
		`{"specversion":"1.0","datacontenttype":"text/plain","data":"a\"b"}`:     {ContentType: "text/plain", Data: []byte(`a"b`)},
		`{"specversion":"1.0","datacontenttype":"text/plain","data":[1]}`:        {ContentType: "text/plain", Data: []byte(`[1]`)},
		`{"specversion":"1.0","datacontenttype":"a/x+json","data":"[1]"}`:        {ContentType: "a/x+json", Data: []byte(`[1]`)},
		`{"specversion":"1.0","data_base64":"AAH/"}`:                             {Data: []byte{0, 1, 255}},
		`{"specversion":"1.0","data_base64":"AAH/","id":7}`:                      {Data: []byte{0, 1, 255}},
		`{"specversion":"1.0","source":"s","type":"t","subject":"u","traceparent":"p","tracestate":"q",
			"correlationid":"c","causationid":"d","expiration":"2026-01-02T03:04:05Z"}`: {
			Source: "s", Type: "t", Subject: "u", TraceParent: "p", TraceState: "q",
			CorrelationID: "c", CausationID: "d", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		},
	} {
		want.Topic = "topic"
		require.Equal(t, want, readMessage("topic", []byte(raw)), raw)
	}
	for _, raw := range []string{
		"", "plain", "\x00\xff", "null", `"specversion"`, "[1]", `{"id":"1"}`, `{"SpecVersion":"1.0"}`, `{"specversion":1}`,
		`{"specversion":"1.0","data_base64":"?"}`, `{"specversion":"1.0","data_base64":7}`, `{"specversion":"1.0"`,
	} {
		require.Equal(t, Message{Topic: "topic", Data: []byte(raw)}, readMessage("topic", []byte(raw)), raw)
	}
}

// Topics that make no sense keep a process from hosting.
func TestHostRefusesTopics(t *testing.T) {
	_, sidecar := fakeSidecar(t)
	nothing := func(context.Context, Message) error { return nil }
	_, err := sidecar.Host(t.Context(), HostStream, &fakeHandler{},
		Topic{Name: "no component", Handle: nothing}, Topic{PubSub: "a", Handle: nothing}, Topic{PubSub: "a", Name: "no handler"},
		Topic{PubSub: "a", Name: "negative", Limit: -1, Handle: nothing},
		Topic{PubSub: "a", Name: "twice", Handle: nothing}, Topic{PubSub: "a", Name: "twice", Handle: nothing})
	for _, part := range []string{"no component", `topic "" of "a"`, "no handler", "negative", `topic "twice" of "a" is read twice`} {
		require.ErrorContains(t, err, part)
	}
}
