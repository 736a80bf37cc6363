package estest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// stored takes an event to its JSON and back. What comes back is a pointer, as
// folds get it; the error says what was lost.
func stored(kind *catalog.Event, event any) (any, error) {
	data, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("event %q cannot be stored: %w", kind.Name, err)
	}
	value, err := kind.Decode(kind.Version, data)
	if err != nil {
		return nil, fmt.Errorf("event %q cannot be read back: %w", kind.Name, err)
	}
	if given, got := valueOf(event), valueOf(value); !reflect.DeepEqual(given, got) {
		return nil, fmt.Errorf("event %q does not survive storage: %+v comes back as %+v", kind.Name, given, got)
	}
	return value, nil
}

// valueOf is an event itself where it may be a pointer to it.
func valueOf(event any) es.Event {
	if v := reflect.ValueOf(event); v.Kind() == reflect.Pointer {
		event = v.Elem().Interface()
	}
	return event.(es.Event)
}

// show writes events for people: name and JSON, a line each.
func show(events es.Events) string {
	if len(events) == 0 {
		return "\n  no events"
	}
	var b bytes.Buffer
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(&b, "\n  %s %s", e.EventName(), data)
	}
	return b.String()
}
