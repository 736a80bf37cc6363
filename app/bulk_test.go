package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// bulkAnswer is one line of output.
type bulkAnswer struct {
	Line     int             `json:"line"`
	ID       *string         `json:"id"`
	Status   string          `json:"status"`
	Command  string          `json:"command"`
	Key      string          `json:"key"`
	Sequence uint64          `json:"sequence"`
	Result   json.RawMessage `json:"result"`
	Error    *problem        `json:"error"`
}

// bulkCall is an open bulk: lines go in while answers come out.
type bulkCall struct {
	t   testing.TB
	in  *io.PipeWriter
	out *bufio.Reader
}

func (a *api) bulk() *bulkCall {
	a.t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(a.t.Context())
	a.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/commands", r)
	require.NoError(a.t, err)
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := a.Client().Do(request)
	require.NoError(a.t, err)
	require.Equal(a.t, 200, response.StatusCode)
	require.Equal(a.t, "application/x-ndjson", response.Header.Get("Content-Type"))
	a.t.Cleanup(func() { response.Body.Close() })
	return &bulkCall{a.t, w, bufio.NewReader(response.Body)}
}

func (b *bulkCall) send(text string) {
	b.t.Helper()
	_, err := io.WriteString(b.in, text)
	require.NoError(b.t, err)
}

func (b *bulkCall) next() (answer bulkAnswer) {
	b.t.Helper()
	line, err := b.out.ReadBytes('\n')
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(line, &answer), string(line))
	return answer
}

func (a *api) bulkOf(text string) []bulkAnswer {
	a.t.Helper()
	response := a.post("/commands", text, "Content-Type", "application/x-ndjson")
	require.Equal(a.t, 200, response.status, response.body)
	var answers []bulkAnswer
	for line := range strings.Lines(response.body) {
		var answer bulkAnswer
		require.NoError(a.t, json.Unmarshal([]byte(line), &answer), line)
		answers = append(answers, answer)
	}
	return answers
}

func line(id, key string, by int) string {
	return fmt.Sprintf(`{"command":"test.add","id":%q,"parameters":{"counter":%q,"by":%d}}`+"\n", id, key, by)
}

func TestBulkAnswersWhileLinesCome(t *testing.T) {
	a := newAPI(t, nil)
	b := a.bulk()
	for i := 1; i <= 5; i++ {
		b.send(line(fmt.Sprint("id", i), "c", 1))
		answer := b.next()
		require.Equal(t, i, answer.Line)
		require.Equal(t, fmt.Sprint("id", i), *answer.ID)
		require.Equal(t, []string{"completed", "test.add", "c"}, []string{answer.Status, answer.Command, answer.Key})
		require.EqualValues(t, i, answer.Sequence)
		require.Equal(t, fmt.Sprint(i), string(answer.Result))
	}
	require.NoError(t, b.in.Close())
	_, err := b.out.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestBulkKeepsTheOrder(t *testing.T) {
	a := newAPI(t, nil)
	var text strings.Builder
	const lines, keys = 5000, 7
	for i := range lines {
		text.WriteString(line(fmt.Sprint(i), fmt.Sprint("k", i%keys), 1_000_000+i))
	}
	answers := a.bulkOf(text.String())
	require.Len(t, answers, lines)
	for i, answer := range answers {
		require.Equal(t, i+1, answer.Line)
		require.Equal(t, fmt.Sprint(i), *answer.ID)
		require.EqualValues(t, i/keys+1, answer.Sequence, "the commands of an entity in input order")
	}
}

func TestBulkLinesThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	huge := `{"command":"test.add","parameters":{"counter":"` + strings.Repeat("x", 3*maxBody) + `"}}`
	text := strings.Join([]string{
		`{"command":"test.add","id":"a","parameters":{"counter":"c","by":1}}`,
		``,
		`not JSON`,
		`[]`,
		`{"command":"test.nothing","id":"b","parameters":{}}`,
		`{"command":"test.add","id":"c","parameters":{"counter":"c","by":0}}`,
		`{"command":"test.add","id":"","parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","id":"d","parameters":{"counter":"c","by":1},"options":{"dryRun":true}}`,
		`{"command":"test.add","id":"e"}`,
		`{"command":"test.add","id":"f","parameters":{"counter":"c","by":1},"more":1}`,
		`{"command":"test.add","id":"g","id":"h","parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","id":"i","Parameters":{"counter":"c","by":1},"parameters":{}}`,
		`{"command":"test.add","id":7,"parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","id":"j","parameters":{"counter":"c","by":1},"expectedSequence":-1}`,
		huge,
		`{"command":"test.add","id":"k","parameters":{"counter":"c","by":1},"expectedSequence":7}`,
		`{"command":"test.add","id":"l","parameters":{"counter":"c","by":5000}}`,
		`{"command":"test.add","id":"m","parameters":{"counter":"c","by":1,"note":"panic"}}`,
		"{\"command\":\"test.add\",\"id\":\"\xff\",\"parameters\":{\"counter\":\"c\",\"by\":1}}",
		" \t\r",
		`{"command":"test.add","id":"n","parameters":{"counter":"c","by":1},"expectedSequence":1}` + "\r",
		`{}`,
		`null`,
		`{"command":null,"id":null,"parameters":null}`,
		`{"command":7,"id":["x"],"parameters":"x","expectedSequence":"1","options":[],"more":{},"most":1}`,
		`{"id":"p","parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","id":null,"parameters":{"counter":"c","by":1}}`,
		`{"command":"test.add","id":"q","parameters":{"counter":"c","by":1},"expectedSequence":1.5}`,
		`{"command":"test.add","id":"r","parameters":{"counter":"c","by":1},"options":{"dryRun":false,"ratePerSecond":1}}`,
		`{"command":"test.add","id":"s","parameters":{"counter":"c","by":1},"options":{"dryrun":false}}`,
		`{"command":"test.add","id":"t","parameters":{"counter":"c","by":1}} {}`,
		`{"command":"test.add","id":"o","parameters":{"counter":"c","by":1}}`, // the last, without an end
	}, "\n")
	want := []struct {
		line             int
		id, code, fields string
	}{
		{1, "a", "", ""}, {3, "", "invalid", ""}, {4, "", "invalid", ""}, {5, "b", "not-found", ""}, {6, "c", "invalid", "by"},
		{7, "", "invalid", "id"}, {8, "d", "invalid", "options.dryRun"}, {9, "e", "invalid", "parameters"}, {10, "f", "invalid", "more"},
		{11, "g", "invalid", "id"}, {12, "i", "invalid", "Parameters"}, {13, "", "invalid", "id"}, {14, "j", "invalid", "expectedSequence"},
		{15, "", "too-large", ""}, {16, "k", "conflict", ""}, {17, "l", "rejected", ""}, {18, "m", "internal", ""}, {19, "", "invalid", ""},
		{21, "n", "", ""},
		{22, "", "invalid", "command id parameters"}, {23, "", "invalid", "command id parameters"}, {24, "", "invalid", "command id parameters"},
		{25, "", "invalid", "command expectedSequence id more most options parameters"}, {26, "p", "invalid", "command"}, {27, "", "invalid", "id"},
		{28, "", "invalid", "id"}, {29, "q", "invalid", "expectedSequence"}, {30, "r", "invalid", "options.ratePerSecond"}, {31, "s", "invalid", "options.dryrun"},
		{32, "t", "invalid", ""}, {33, "o", "", ""},
	}
	answers := a.bulkOf(text)
	require.Len(t, answers, len(want))
	for i, answer := range answers {
		w := want[i]
		require.Equal(t, w.line, answer.Line)
		require.NotNil(t, answer.ID)
		require.Equal(t, w.id, *answer.ID, "line %d", w.line)
		if w.code == "" {
			require.Equal(t, "completed", answer.Status)
			continue
		}
		require.Equal(t, "error", answer.Status)
		require.Equal(t, w.code, string(answer.Error.Code), "line %d: %s", w.line, answer.Error.Detail)
		require.Equal(t, kinds[answer.Error.Code].status, answer.Error.Status)
		var fields []string
		for _, f := range answer.Error.Errors {
			fields = append(fields, f.Field)
		}
		require.Equal(t, w.fields, strings.Join(fields, " "), "line %d", w.line)
	}
	require.EqualValues(t, 3, answers[len(answers)-1].Sequence)
}

func TestBulkSameID(t *testing.T) {
	a := newAPI(t, nil)
	answers := a.bulkOf(line("x", "c", 1) + line("x", "c", 1) + line("x", "c", 2))
	require.EqualValues(t, 1, answers[0].Sequence)
	require.EqualValues(t, 1, answers[1].Sequence)
	require.Equal(t, catalog.Conflict, answers[2].Error.Code)
}

// A direct command takes options that ask for nothing, and no others.
func TestOptionsThatAskForNothing(t *testing.T) {
	a := newAPI(t, nil)
	for i, options := range []string{`{}`, `null`, `{"dryRun":false}`} {
		answers := a.bulkOf(fmt.Sprintf(`{"command":"test.add","id":"%d","parameters":{"counter":"c","by":1},"expectedSequence":null,"options":%s}`, i, options))
		require.Equal(t, "completed", answers[0].Status, options)
	}
	require.Equal(t, 200, a.post("/commands/test.add?dryRun=false", `{"counter":"c","by":1}`).status)
}

func TestBulkRequestsThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	require.Equal(t, catalog.Invalid, a.post("/commands?dryRun=true", "", "Content-Type", "application/x-ndjson").problem(t).Code)
	require.Equal(t, catalog.Invalid, a.post("/commands", "", "Idempotency-Key", "x").problem(t).Code)
	require.Empty(t, a.bulkOf(""))
	require.Empty(t, a.bulkOf("\n\n"))
}

// What is read and not answered is bounded: by the window if commands do not
// end, by the window and the connection if answers are not read.
func TestBulkWindow(t *testing.T) {
	a := newAPI(t, nil)
	const window = 8
	s := &slow{Runtime: a.runtime, started: make(chan actors.Command, 10*window), let: make(chan struct{})}
	a = newAPIOver(t, testDomain(), s, func(o *Options) { o.Limits.Window = window })
	b := a.bulk()
	for i := range 5 * window { // more than the window, less than a connection takes
		b.send(line(fmt.Sprint(i), fmt.Sprint(i), 1))
	}
	require.NoError(t, b.in.Close())
	for range window {
		<-s.started
	}
	close(s.let)
	for i := range 5 * window {
		require.Equal(t, i+1, b.next().Line)
	}
	require.EqualValues(t, window, s.most.Load())
}

// endless sends lines as long as they are read.
type endless struct {
	line []byte
	sent atomic.Int64
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.sent.Add(int64(n))
	return n, nil
}

func TestBulkWhoseAnswersNobodyReads(t *testing.T) {
	a := newAPI(t, nil)
	in := &endless{line: []byte(`{"command":"test.nothing"}` + "\n")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/commands", io.NopCloser(in))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-ndjson")
	response, err := a.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	var last int64
	require.Eventually(t, func() bool { // it stops reading
		now := in.sent.Load()
		stopped := now == last && now > 0
		last = now
		return stopped
	}, waitLong, 50*waitStep)
	cancel()
	require.Eventually(t, a.noStreams, waitLong, waitStep, "it ends with its client")
}

func TestBulkOfAClientThatGoes(t *testing.T) {
	a := newAPI(t, nil)
	s := &slow{Runtime: a.runtime, started: make(chan actors.Command), let: make(chan struct{})}
	a = newAPIOver(t, testDomain(), s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/commands", in)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-ndjson")
	response, err := a.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.WriteString(w, line("started", "c", 1))
	require.NoError(t, err)
	<-s.started
	cancel()
	close(s.let)
	require.Eventually(t, a.noStreams, waitLong, waitStep)
	require.Equal(t, 200, a.get("/commands/test.add/started").status, "what was started has ended")
}

func TestBulkWhenTheServerStops(t *testing.T) {
	a := newAPI(t, nil)
	b := a.bulk()
	b.send(line("one", "c", 1))
	require.Equal(t, "completed", b.next().Status)
	a.edge.Drain()
	last := b.next()
	require.Equal(t, 2, last.Line)
	require.Equal(t, catalog.Unavailable, last.Error.Code)
	_, err := b.out.ReadByte()
	require.ErrorIs(t, err, io.EOF, "it ends cleanly")
}

// What is left of a body that is not read to its end is no request.
func TestBulkThatStopsReading(t *testing.T) {
	const next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, stop := range map[string]func(a *api, send func(string)){
		"the server stops":      func(a *api, _ func(string)) { a.edge.Drain() },
		"a chunk has no length": func(_ *api, send func(string)) { send("no length\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, nil)
			conn, err := net.Dial("tcp", a.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(waitLong)))
			send := func(text string) {
				_, err := io.WriteString(conn, text)
				require.NoError(t, err)
			}
			one := line("one", "c", 1)
			send(fmt.Sprintf("POST /commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(one), one))
			in := bufio.NewReader(conn)
			response, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			defer response.Body.Close()
			answers := bufio.NewReader(response.Body)
			first, err := answers.ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, first, "completed")
			stop(a, send)
			_, err = io.Copy(io.Discard, answers)
			require.NoError(t, err, "it ends cleanly")
			send(next)
			_, err = in.ReadByte()
			require.Error(t, err, "the connection is closed")
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

// A bulk that is read to its end leaves its connection to the next request.
func TestBulkKeepsItsConnection(t *testing.T) {
	a := newAPI(t, nil)
	opened := 0
	a.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened++
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for i := range 3 {
		a.bulkOf(line(fmt.Sprint(i), "c", 1))
	}
	require.Equal(t, 1, opened)
}

func TestWindow(t *testing.T) {
	w := newWindow(3, 100)
	w.enter(1000) // one always fits
	sizes := make(chan int)
	go func() {
		defer close(sizes)
		for _, size := range []int{60, 40, 0, 7, 100} {
			w.enter(size)
			sizes <- size
		}
	}()
	w.leave(1000)
	require.Equal(t, []int{60, 40, 0}, []int{<-sizes, <-sizes, <-sizes})
	w.leave(0) // there is a line's room, but no bytes'
	w.leave(60)
	require.Equal(t, 7, <-sizes)
	w.leave(40)
	w.leave(7)
	require.Equal(t, 100, <-sizes)
	_, more := <-sizes
	require.False(t, more)
}

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 200)
	r := newLineReader(strings.NewReader("a\r\n\n"+long+"\n"+strings.Repeat("y", 100)+"\n"+strings.Repeat("z", 100)+"\r\n"+long), 100)
	r.in = bufio.NewReaderSize(r.in, 16)
	for _, want := range []string{"a", "", "!", strings.Repeat("y", 100), strings.Repeat("z", 100), "!"} {
		got, err := r.next()
		if want == "!" {
			require.ErrorIs(t, err, errLineTooLong)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := r.next()
	require.ErrorIs(t, err, io.EOF)
}

// BenchmarkBulk is lines through HTTP, checks and a system with a store in
// memory.
func BenchmarkBulk(b *testing.B) {
	a := newAPI(b, nil)
	var text bytes.Buffer
	for i := range b.N {
		text.WriteString(line(fmt.Sprint(i), fmt.Sprint("k", i%1000), 1_000_000))
	}
	b.ReportAllocs()
	b.ResetTimer()
	response, err := http.Post(a.URL+"/commands", contentNDJSON, &text)
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(b, err)
	require.NoError(b, response.Body.Close())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
