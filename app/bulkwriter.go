package app

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// flushDelay is how long an answer may wait for others to go out with.
	flushDelay = 2 * time.Millisecond

	// flushSize is how much is gathered at most.
	flushSize = 64 << 10
)

// bulkWriter writes a bulk's answers in input order. Answers that are there
// together go out together; none waits longer than flushDelay for the next.
type bulkWriter struct {
	*bulk
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
	timer   *time.Timer // runs while buf holds answers and the next is waited for
	lost    bool        // nobody reads any more
}

// run ends when the queue is closed and all of it is answered. If the client
// goes, it still waits for what was started.
func (w *bulkWriter) run() {
	w.timer = time.NewTimer(flushDelay)
	w.timer.Stop()
	for {
		p, more := receive(w, w.queue)
		if !more {
			w.flush()
			return
		}
		receive(w, p.done)
		if !w.lost {
			w.buf = appendAnswer(w.buf, p, w.server)
		}
		w.leave(p)
		if len(w.buf) >= flushSize {
			w.flush()
		}
	}
}

// receive is <-from. If that takes long, what is gathered goes out meanwhile.
func receive[T any](w *bulkWriter, from <-chan T) (v T, more bool) {
	select {
	case v, more = <-from:
		return v, more
	default:
	}
	if len(w.buf) > 0 {
		w.timer.Reset(flushDelay)
		select {
		case v, more = <-from:
			w.timer.Stop()
			return v, more
		case <-w.timer.C:
			w.flush()
		}
	}
	v, more = <-from
	return v, more
}

func (w *bulkWriter) flush() {
	if w.lost || len(w.buf) == 0 {
		return
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has a connection
	_, err := w.w.Write(w.buf)
	if err == nil {
		err = w.control.Flush()
	}
	w.buf = w.buf[:0]
	if err != nil {
		w.lost = true
		close(w.gone)
	}
}

// appendAnswer writes one line: the answer, or the problem, after its number.
func appendAnswer(buf []byte, p *pending, s *Server) []byte {
	var body []byte // begins with the id
	err := p.err
	if err == nil {
		body, err = encodeJSON(p.answer)
	}
	if err != nil {
		body, _ = encodeJSON(struct { // of text and numbers: it cannot fail
			ID     string  `json:"id"`
			Status string  `json:"status"`
			Error  problem `json:"error"`
		}{p.id, "error", problemOf(err, s.log)})
	}
	return fmt.Appendf(buf, "{\"line\":%d,%s\n", p.line, body[1:])
}
