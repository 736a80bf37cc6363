package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// windowBytes is how much of one bulk's input is in memory at most.
const windowBytes = 16 << 20

// contentNDJSON is the type of a bulk's input and output.
const contentNDJSON = "application/x-ndjson"

// bulk is one POST /commands under way. One goroutine reads lines and starts
// their commands, in input order, so that the order per entity is kept; another
// writes the answers, in the same order, while lines still come. When answers
// are not read, the window fills and no more lines are read.
type bulk struct {
	server  *Server
	system  Runtime
	context stream.Context // of every command
	ctx     context.Context
	window  *window
	queue   chan *pending
	gone    chan struct{} // closed when nobody reads the answers any more

	mu    sync.Mutex
	going map[string]*pending // the last line of each id that is not answered yet
}

// pending is a line that was read and waits for its answer.
type pending struct {
	line   int
	size   int
	id     string
	runsOn bool
	done   chan struct{} // closed when answer and err are set
	answer any           // actors.Answer, or accepted; its JSON begins with the id
	err    error
}

// postCommands runs commands that come as NDJSON.
func (s *Server) postCommands(w http.ResponseWriter, r *request) error {
	var f faults
	_, given := commandHeaders(r.Header, &f)
	if r.Header.Get(headerID) != "" {
		f.add(headerID, "is not for a bulk: each line has its id")
	}
	if err := f.err(); err != nil {
		return err
	}
	system, err := s.runtime()
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	if err := control.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
		return fmt.Errorf("bulk: %w", err)
	}
	w.Header().Set("Content-Type", contentNDJSON)
	w.WriteHeader(http.StatusOK)
	_ = control.Flush() // the client may wait for the status before it sends; a dead one shows later

	b := &bulk{
		server:  s,
		system:  system,
		context: given,
		ctx:     context.WithoutCancel(r.Context()), // what was started ends, whoever listens
		window:  newWindow(int64(s.limits.Window), windowBytes),
		queue:   make(chan *pending, s.limits.Window),
		gone:    make(chan struct{}),
		going:   map[string]*pending{},
	}
	finished := make(chan struct{})
	var both sync.WaitGroup
	both.Go((&bulkWriter{bulk: b, w: w, control: control}).run)
	both.Go(func() { // wakes the reader when there is no sense in going on
		select {
		case <-s.draining:
		case <-b.gone:
		case <-r.Context().Done():
		case <-finished:
			return
		}
		_ = control.SetReadDeadline(time.Now())
	})
	whole := b.read(r.Body)
	close(finished)
	both.Wait()
	if !whole {
		closeAfter(w)
	}
	return nil
}

// read starts the command of every line, until there is no more or it is told
// to stop. It says whether it read all of the body.
func (b *bulk) read(body io.Reader) (whole bool) {
	defer close(b.queue)
	lines := newLineReader(body, maxBody)
	for n := 1; ; n++ {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if b.stopped() {
			b.answer(&pending{line: n}, catalog.Faultf(catalog.Unavailable, "the system is stopping: this line and what follows it was not read"))
			return false
		}
		switch {
		case errors.Is(err, errLineTooLong):
			b.answer(&pending{line: n}, catalog.Faultf(catalog.TooLarge, "the line has more than %d bytes", maxBody))
		case err != nil:
			b.answer(&pending{line: n}, catalog.Faultf(catalog.Invalid, "the body broke off: this line was not read to its end"))
			return false
		case len(bytes.TrimSpace(line)) > 0:
			b.start(n, line)
		}
	}
}

// closeAfter closes the connection after the answer. In full duplex net/http
// keeps it although a body was not read to its end, and would take what follows
// of the body for the next request. That the answer has begun, its headers
// cannot say any more; a body over its limit has the same effect, as
// http.MaxBytesReader documents.
func closeAfter(w http.ResponseWriter) {
	for {
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = inner.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("more")), 0).Read(make([]byte, 1))
}

func (b *bulk) stopped() bool {
	select {
	case <-b.server.draining:
		return true
	case <-b.gone:
		return true
	default:
		return false
	}
}

// answer queues a line that is answered already.
func (b *bulk) answer(p *pending, err error) {
	b.window.enter(p.size)
	p.err, p.done = err, make(chan struct{})
	close(p.done)
	b.queue <- p
}

func (b *bulk) start(n int, line []byte) {
	p := &pending{line: n, size: len(line)}
	o, err := b.order(line)
	p.id = o.ID
	if err != nil {
		b.answer(p, err)
		return
	}
	b.window.enter(p.size)
	p.done, p.runsOn = make(chan struct{}), !o.direct
	before := b.enter(p)
	b.queue <- p // there is room: the window is no larger than the queue
	if before != nil && (before.runsOn || p.runsOn) {
		<-before.done // of two lines with one id the first is the command
	}
	if o.direct {
		b.system.Start(b.ctx, o.Command, func(answer actors.Answer, err error) {
			p.answer, p.err = answer, err
			close(p.done)
		})
		return
	}
	go func() { // as many as the window has lines; whoever writes the answers waits for each
		defer close(p.done)
		var progress flow.Progress
		progress, p.err = b.system.RunsOn().Start(b.ctx, o.start())
		p.answer = newAccepted(progress)
	}()
}

// enter takes note of a line that is started. It answers with the last one of the
// same id, if that may not be answered yet.
func (b *bulk) enter(p *pending) (before *pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.going[p.id] = b.going[p.id], p
	return before
}

// leave forgets a line that is answered.
func (b *bulk) leave(p *pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.going[p.id] == p {
		delete(b.going, p.id)
	}
	b.window.leave(p.size)
}

// window bounds what is read and not yet answered, in lines and in bytes: the
// lines of a bulk can be long. One line always fits.
type window struct {
	lines, bytes *semaphore.Weighted
	size         int64 // of bytes
}

func newWindow(lines, bytes int64) *window {
	return &window{semaphore.NewWeighted(lines), semaphore.NewWeighted(bytes), bytes}
}

// enter waits until there is room for one more line of a size.
func (w *window) enter(size int) {
	_ = w.lines.Acquire(context.Background(), 1) // it ends, as every line is answered
	_ = w.bytes.Acquire(context.Background(), min(int64(size), w.size))
}

// leave makes the room free again.
func (w *window) leave(size int) {
	w.bytes.Release(min(int64(size), w.size))
	w.lines.Release(1)
}

// errLineTooLong is what lineReader answers for a line above its limit.
var errLineTooLong = errors.New("the line is too long")

// lineReader reads lines of at most max bytes, without their end (LF or CRLF).
// A last line without an end counts.
type lineReader struct {
	in  *bufio.Reader
	max int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 64<<10), limit}
}

// next returns the next line in memory of its own. At the end it is io.EOF. A
// line that is too long is read to its end, without keeping it.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := l.in.ReadSlice('\n')
		if !tooLong && len(line)+len(bytes.TrimRight(part, "\r\n")) > l.max {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil, errors.Is(err, io.EOF) && (tooLong || len(line) > 0):
			if tooLong {
				return nil, errLineTooLong
			}
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
		default:
			return nil, err
		}
	}
}
