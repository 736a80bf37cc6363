package actors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"time"
)

// Message is what came on a topic. It is the CloudEvent that Dapr makes of what
// is published, taken apart; or, if what came is no CloudEvent, its bytes as Data
// and nothing else.
type Message struct {
	// ID, Source, Type and Subject are the CloudEvent's. Source and ID together
	// are the same each time the message is delivered; without a CloudEvent there
	// is no such thing, and ID is empty.
	ID, Source, Type, Subject string

	Topic string // that was subscribed to
	// Data is the payload: the bytes of a JSON value if ContentType is JSON, text
	// or bytes without quotes or base64 if not. It is never changed by the way.
	Data        []byte
	ContentType string // of Data; empty if nobody said

	TraceParent, TraceState    string    // W3C trace context
	CorrelationID, CausationID string    // the extensions correlationid and causationid
	Expires                    time.Time // when its publisher has no more use for it; zero: never
}

// readMessage takes an envelope apart. It reads it itself, and has Dapr pass on
// everything raw: Dapr's reading drops the trace and the extensions on the way to
// a stream, keeps from the app what is not JSON, and loses digits of large
// numbers.
func readMessage(topic string, raw []byte) Message {
	asItCame := Message{Topic: topic, Data: raw}
	var envelope map[string]json.RawMessage
	if json.Unmarshal(raw, &envelope) != nil || text(envelope["specversion"]) == "" {
		return asItCame
	}
	m := Message{
		ID:            text(envelope["id"]),
		Source:        text(envelope["source"]),
		Type:          text(envelope["type"]),
		Subject:       text(envelope["subject"]),
		Topic:         topic,
		ContentType:   text(envelope["datacontenttype"]),
		TraceParent:   text(envelope["traceparent"]),
		TraceState:    text(envelope["tracestate"]),
		CorrelationID: text(envelope["correlationid"]),
		CausationID:   text(envelope["causationid"]),
	}
	m.Expires, _ = time.Parse(time.RFC3339, text(envelope["expiration"])) // zero if it is none
	if encoded, ok := envelope["data_base64"]; ok {
		data, err := base64.StdEncoding.DecodeString(text(encoded))
		if err != nil || len(encoded) == 0 || encoded[0] != '"' {
			return asItCame
		}
		m.Data = data
		return m
	}
	switch data := envelope["data"]; {
	case jsonType(m.ContentType):
		m.Data = data
	case len(data) > 0 && data[0] == '"':
		m.Data = []byte(text(data))
	case !bytes.Equal(data, []byte("null")):
		m.Data = data
	}
	return m
}

// text is the string that a JSON value is; empty if it is something else.
func text(value json.RawMessage) (s string) {
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// jsonType says whether a string as data of this type is meant to be JSON. That is
// so where no type is given, too, but not for the likes of application/x+json:
// Dapr writes what is published so as text.
func jsonType(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return contentType == "" || err == nil && media == "application/json"
}
