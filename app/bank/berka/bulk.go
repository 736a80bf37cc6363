package berka

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// window is how many commands are sent and not yet answered at most.
const window = 2048

// bulk sends commands through POST /commands: order is kept, and what stays
// without an answer is sent again, with the same ids, before anything that
// comes after it.
type bulk struct {
	*client
	next     func() (command, bool, error) // where the commands come from
	answered func(command, answer)         // hears every answer, once, in order

	again []command // to be sent before next
}

// send sends everything.
func (b *bulk) send(ctx context.Context) error { return b.retry(ctx, b.round) }

// round is one request. When something is unavailable it takes nothing new, so
// that no command overtakes one of the same account that must be sent again,
// except what was on its way already.
func (b *bulk) round(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	body, out := io.Pipe()
	r := &request{bulk: b, out: out, sent: make(chan command, window), written: make(chan struct{})}
	go r.write(ctx)
	defer func() {
		cancel(nil)
		body.Close() // frees a writer that nobody reads
		<-r.written
		b.again = append(r.unsettled(), b.again...)
		if r.err != nil {
			err = r.err
		}
	}()
	silence := time.AfterFunc(b.patience, func() { cancel(errors.New("no answer for a long time")) })
	defer silence.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/commands", body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := b.do(req)
	if err != nil {
		return false, err
	}
	defer res.Close()
	answers := json.NewDecoder(bufio.NewReader(res))
	for c := range r.sent {
		silence.Reset(b.patience)
		var a answer
		if err := answers.Decode(&a); err != nil {
			r.open = append(r.open, c)
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return progress, &unavailable{err: fmt.Errorf("the answers broke off: %w", err)}
		}
		switch {
		case a.Error != nil && a.Error.Code == "unavailable":
			r.stop.Store(true)
			r.open = append(r.open, c)
			err = &unavailable{err: a.Error}
		case a.ID != c.ID:
			return progress, fmt.Errorf("%s is answered with an answer to %q: this is not the server it should be", c, a.ID)
		default:
			progress = true
			b.answered(c, a)
		}
	}
	return progress, err
}

// request is the writing side of one round.
type request struct {
	*bulk
	out     *io.PipeWriter
	sent    chan command // in order; closed after the last
	open    []command    // were sent and have no answer that counts
	stop    atomic.Bool  // nothing new
	written chan struct{}
	err     error // of next; read it after written
}

func (r *request) write(ctx context.Context) {
	defer close(r.written)
	defer close(r.sent)
	buffer := bufio.NewWriter(r.out)
	lines := json.NewEncoder(buffer)
	lines.SetEscapeHTML(false)
	for !r.stop.Load() {
		c, more, err := r.take()
		if !more || err != nil {
			r.err = err
			break
		}
		if len(r.sent) == cap(r.sent) {
			_ = buffer.Flush() // who reads the answers sees why
		}
		select {
		case r.sent <- c:
		case <-ctx.Done():
			r.again = append([]command{c}, r.again...)
			return
		}
		if err := lines.Encode(c); err != nil {
			break
		}
	}
	_ = buffer.Flush()
	_ = r.out.Close()
}

func (r *request) take() (command, bool, error) {
	if len(r.again) > 0 {
		c := r.again[0]
		r.again = r.again[1:]
		return c, true, nil
	}
	return r.next()
}

// unsettled is what was sent and must be sent again.
func (r *request) unsettled() []command {
	for c := range r.sent {
		r.open = append(r.open, c)
	}
	return r.open
}
