package stream

import (
	"time"

	"pgregory.net/rapid"
)

var account = ID{Type: "bank.account", Key: "576"}

// morning is when the tests' streams begin.
var morning = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// deposit is an append of n events.
func deposit(id string, n int) Append {
	a := Append{
		ID:         id,
		ParamsHash: [16]byte{1, 2, 3},
		Context: Context{
			Who:           "ada@example.org",
			Source:        "api",
			CorrelationID: "7f1c9ae0-2a52-4e77-9d0e-8e2c1f0b6a11",
			CausationID:   "7f1c9ae0-2a52-4e77-9d0e-8e2c1f0b6a11",
			Schema:        "b6589fc6ab0dc82cf12099d1c2d40ab994e8410c",
		},
		Result: []byte(`{"left":12000}`),
	}
	for range n {
		a.Events = append(a.Events, Event{Name: "deposited", Version: 2, Data: []byte(`{"amount":2500,"reference":"salary"}`)})
	}
	return a
}

// commits draws any commit of the stream id, sensible or not.
func commits(id ID) *rapid.Generator[Commit] {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("abé\x00")), 0, 3, -1)
	optional := rapid.Custom(func(t *rapid.T) []byte {
		b := rapid.SliceOfN(rapid.Byte(), -1, 5).Draw(t, "bytes")
		if len(b) == 0 && rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return b
	})
	event := rapid.Custom(func(t *rapid.T) Event {
		return Event{Name: text.Draw(t, "name"), Version: rapid.Int().Draw(t, "version"), Data: optional.Draw(t, "data")}
	})
	hash16 := rapid.Custom(func(t *rapid.T) (h [16]byte) {
		copy(h[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
		return h
	})
	appended := rapid.Custom(func(t *rapid.T) Append {
		a := Append{ID: text.Draw(t, "id"), ParamsHash: hash16.Draw(t, "params"), Result: optional.Draw(t, "result")}
		for _, field := range a.Context.fields() {
			*field = text.Draw(t, "context")
		}
		for range rapid.IntRange(0, 4).Draw(t, "events") {
			a.Events = append(a.Events, event.Draw(t, "event"))
		}
		return a
	})
	return rapid.Custom(func(t *rapid.T) Commit {
		c := Commit{
			Stream: id,
			Number: rapid.Uint64Min(1).Draw(t, "number"),
			ID:     hash16.Draw(t, "commit id"),
			First:  rapid.Uint64Range(1, 1<<63).Draw(t, "first"),
			At:     time.UnixMicro(rapid.Int64().Draw(t, "at")).UTC(),
		}
		copy(c.Prev[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "prev"))
		for range rapid.IntRange(0, 20).Draw(t, "appends") {
			c.Appends = append(c.Appends, appended.Draw(t, "append"))
		}
		return c
	})
}
