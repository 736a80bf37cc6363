package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/longrun-dev/longrun/actors"
)

const (
	// maxLetter is what a dead letter may hold of a message, in bytes: brokers take
	// a megabyte, and what cannot be published would come again for ever.
	maxLetter = 768 << 10

	// cutLetter is how much is kept of a message that is larger.
	cutLetter = 64 << 10
)

// deadLetter is a message that can never be handled, and why.
type deadLetter struct {
	Message  json.RawMessage `json:"message"`            // what came: JSON as it is, else text
	Encoding string          `json:"encoding,omitempty"` // "base64" if what came is not text
	Bytes    int             `json:"bytes,omitempty"`    // how much came, if only its beginning is here
	Problem  problem         `json:"problem"`
}

func newDeadLetter(message []byte, why problem) *deadLetter {
	l := &deadLetter{Message: message, Problem: why}
	if len(message) <= maxLetter && jsontext.Value(message).IsValid() {
		return l
	}
	if len(message) <= maxLetter {
		l.writeText(message)
	}
	if len(l.Message) > maxLetter {
		l.Bytes = len(message)
		l.writeText(beginning(message))
	}
	return l
}

// beginning is what is kept of a message that is too large; text ends with a
// whole character.
func beginning(message []byte) []byte {
	cut := message[:min(cutLetter, len(message))]
	for i := range utf8.UTFMax {
		if whole := cut[:len(cut)-i]; utf8.Valid(whole) {
			return whole
		}
	}
	return cut
}

// writeText writes what came as a JSON string.
func (l *deadLetter) writeText(message []byte) {
	text := string(message)
	if l.Encoding = ""; !utf8.Valid(message) {
		l.Encoding, text = "base64", base64.StdEncoding.EncodeToString(message)
	}
	l.Message, _ = encodeJSON(text) // text can always be encoded
}

// bury publishes a letter. The id of one message's letter is always the same, so
// that a broker which knows ids keeps one of them.
func (r *Router) bury(ctx context.Context, m actors.Message, l *deadLetter) error {
	body, err := encodeJSON(l)
	if err != nil {
		return err
	}
	out := actors.Outgoing{Data: body}
	if m.ID != "" {
		sum := sha256.Sum256([]byte(m.Source + "\n" + m.ID))
		out.ID = "dead-" + hex.EncodeToString(sum[:16])
	}
	return r.publisher.Publish(ctx, r.pubsub, topicDead, out)
}
