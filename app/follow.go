package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	// heartbeat is how often a follow without events says that it lives, so
	// that a connection that nobody holds any more is noticed.
	heartbeat = 15 * time.Second

	// writeTimeout is how long a reader of a stream may not read.
	writeTimeout = time.Minute
)

// follow answers with server-sent events: data is an event, id its sequence.
// It ends when the client goes or the server drains; a client that comes back
// says in Last-Event-ID what it has. A fault on the way is an event named
// "error" with the problem, and the last one.
func (s *Server) follow(w http.ResponseWriter, r *request, system Runtime, id stream.ID, from uint64) error {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return invalid("Last-Event-ID", "expected a sequence")
		}
		from = n + 1
	}
	if _, _, err := system.Events(r.Context(), id, 1, 1); err != nil {
		return err // not found, while that can be a status
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return nil
	}
	out := sse{w, http.NewResponseController(w)}
	if out.send(": open\n\n") != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	events := make(chan followed)
	go func() {
		defer close(events)
		for e, err := range system.Follow(ctx, id, from) {
			select {
			case events <- followed{e, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range events { // until it has ended
		}
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case e, more := <-events:
			switch {
			case !more || e.err != nil && ctx.Err() != nil:
				return nil
			case e.err != nil:
				_ = out.event("error", "", problemOf(e.err, s.log)) // the last word, heard or not
				return nil
			}
			err = out.event("", strconv.FormatUint(e.event.Sequence, 10), newEvent(e.event))
		case <-beat.C:
			err = out.send(": \n\n")
		case <-s.draining:
			return nil
		}
		if err != nil {
			return nil // the client is gone
		}
	}
}

type followed struct {
	event stream.Recorded
	err   error
}

// sse writes server-sent events.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s sse) event(name, id string, data any) error {
	body, err := encodeJSON(data)
	if err != nil {
		return err
	}
	head := ""
	if name != "" {
		head += "event: " + name + "\n"
	}
	if id != "" {
		head += "id: " + id + "\n"
	}
	return s.send(fmt.Sprintf("%sdata: %s\n\n", head, body))
}

func (s sse) send(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has a connection
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
