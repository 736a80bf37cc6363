package berka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// chunk is how many commands go out in one request at most. Requests with an
// end, rather than one for the whole file: a connection that breaks is noticed
// at once, and what has to be sent again is in memory anyway.
const chunk = 2000

// bulk sends commands through POST /commands, in order. What stays without an
// answer is sent again, with the same ids, before anything that comes later.
// So a command can only be overtaken by one of the same request.
type bulk struct {
	*client
	next     func() (c command, more bool, err error) // where the commands come from
	answered func(command, answer)                    // hears every answer, once, in order

	open []command // taken from next and not answered
}

// send sends everything.
func (b *bulk) send(ctx context.Context) error {
	for {
		if err := b.fill(); err != nil || len(b.open) == 0 {
			return err
		}
		if err := b.retry(ctx, b.request); err != nil {
			return err
		}
	}
}

func (b *bulk) fill() error {
	for len(b.open) < chunk {
		c, more, err := b.next()
		if err != nil || !more {
			return err
		}
		b.open = append(b.open, c)
	}
	return nil
}

// request sends what is open. With an *unavailable some of it still is.
func (b *bulk) request(ctx context.Context) (progress bool, err error) {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for _, c := range b.open {
		if err := lines.Encode(c); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(b.patience, func() { cancel(fmt.Errorf("no answer for %s", b.patience)) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/commands", &body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := b.do(req)
	if err != nil {
		return false, err
	}
	defer res.Close()

	sent, answers := b.open, json.NewDecoder(res)
	b.open = nil
	for i, c := range sent {
		var a answer
		if err := answers.Decode(&a); err != nil {
			b.open = append(b.open, sent[i:]...)
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return progress, &unavailable{err: fmt.Errorf("the answers broke off: %w", err)}
		}
		silence.Reset(b.patience)
		switch {
		case a.Error != nil && a.Error.Code == "unavailable":
			b.open = append(b.open, c)
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
