package app

import (
	"net/http"
	"strconv"
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
		p, more := w.nextPending()
		if !more {
			w.flush()
			return
		}
		w.wait(p)
		if !w.lost {
			w.buf = appendAnswer(w.buf, p, w.server)
		}
		w.window.leave(p.size)
		if len(w.buf) >= flushSize {
			w.flush()
		}
	}
}

func (w *bulkWriter) nextPending() (p *pending, more bool) {
	select {
	case p, more = <-w.queue:
		return p, more
	default:
	}
	if len(w.buf) > 0 {
		w.timer.Reset(flushDelay)
		select {
		case p, more = <-w.queue:
			w.timer.Stop()
			return p, more
		case <-w.timer.C:
			w.flush()
		}
	}
	p, more = <-w.queue
	return p, more
}

func (w *bulkWriter) wait(p *pending) {
	select {
	case <-p.done:
		return
	default:
	}
	if len(w.buf) > 0 {
		w.timer.Reset(flushDelay)
		select {
		case <-p.done:
			w.timer.Stop()
			return
		case <-w.timer.C:
			w.flush()
		}
	}
	<-p.done
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
	if p.err == nil {
		body, err := encodeJSON(p.answer)
		if err == nil {
			buf = appendLine(buf, p.line)
			buf = append(buf, body[1:]...) // begins with the id
			return append(buf, '\n')
		}
		p.err = err
	}
	body, _ := encodeJSON(struct { // of text and numbers: it cannot fail
		ID     string  `json:"id"`
		Status string  `json:"status"`
		Error  problem `json:"error"`
	}{p.id, "error", problemOf(p.err, s.log)})
	buf = appendLine(buf, p.line)
	buf = append(buf, body[1:]...)
	return append(buf, '\n')
}

func appendLine(buf []byte, n int) []byte {
	buf = append(buf, `{"line":`...)
	buf = strconv.AppendInt(buf, int64(n), 10)
	return append(buf, ',')
}
