package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// requestTimeout is how long one request may take: more than the deadline that
// the system keeps for itself.
const requestTimeout = 30 * time.Second

// bank is a running bank, called as its users call it. Requests go to its
// replicas in turn.
type bank struct {
	*servers.Stack
	client *http.Client
	turn   atomic.Uint64
}

// startBank starts a bank that lives as long as the test.
func startBank(t *testing.T, o servers.StackOptions) *bank {
	t.Helper()
	return startApp(t, buildBank, o)
}

// startApp is startBank for an application that has more than a bank.
func startApp(t *testing.T, build func() (string, error), o servers.StackOptions) *bank {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	o.App = []string{path}
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(o))
	t.Logf("the stack is in %s", stack.Dir())
	client := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	return &bank{Stack: stack, client: client}
}

// url is the address of a path at the replica whose turn it is.
func (b *bank) url(path string) string {
	return b.API[b.turn.Add(1)%uint64(len(b.API))] + path
}

// path puts segments together, each percent-encoded as a whole.
func path(segments ...string) string {
	var p strings.Builder
	for _, s := range segments {
		p.WriteByte('/')
		if s == "." || s == ".." { // which url.PathEscape leaves alone
			p.WriteString(strings.ReplaceAll(s, ".", "%2E"))
			continue
		}
		p.WriteString(url.PathEscape(s))
	}
	return p.String()
}

// params is a JSON object.
type params map[string]any

// with changes a request before it is sent.
type with func(*http.Request)

func header(name, value string) with { return func(r *http.Request) { r.Header.Set(name, value) } }

func id(value string) with { return header("Idempotency-Key", value) }

func query(pairs ...string) with {
	return func(r *http.Request) {
		q := r.URL.Query()
		for i := 0; i < len(pairs); i += 2 {
			q.Add(pairs[i], pairs[i+1])
		}
		r.URL.RawQuery = q.Encode()
	}
}

// answer is a response that was read to its end.
type answer struct {
	t      *testing.T
	call   string
	status int
	header http.Header
	body   []byte
}

// send sends one request and reads the answer to its end.
func (b *bank) send(ctx context.Context, method, path, body string, changes ...with) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.url(path), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, change := range changes {
		change(req)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{call: method + " " + path, status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// do sends one request. The body is sent as it is if it is text, else as JSON.
// It may be called from any goroutine: a request that gets no answer is an error
// of the test and has status 0.
func (b *bank) do(t *testing.T, method, path string, body any, changes ...with) answer {
	t.Helper()
	content, isText := body.(string)
	if !isText && body != nil {
		content = jsonText(t, body)
	}
	a, err := b.send(t.Context(), method, path, content, changes...)
	a.t = t
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		a.status = 0
	}
	return a
}

func (b *bank) get(t *testing.T, path string, changes ...with) answer {
	t.Helper()
	return b.do(t, http.MethodGet, path, nil, changes...)
}

// post runs a command.
func (b *bank) post(t *testing.T, command string, parameters any, changes ...with) answer {
	t.Helper()
	return b.do(t, http.MethodPost, path("commands", command), parameters, changes...)
}

// into reads the JSON of a 200.
func (a answer) into(v any) {
	a.t.Helper()
	require.Equal(a.t, http.StatusOK, a.status, "%s: %s", a.call, a.body)
	require.Equal(a.t, "application/json", a.header.Get("Content-Type"))
	a.decode(v)
}

// decode reads JSON in which nothing is unknown.
func (a answer) decode(v any) {
	a.t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	require.NoError(a.t, d.Decode(v), "%s: %s", a.call, a.body)
}

// problem is an error as API.md writes it.
type problem struct {
	Type   string
	Title  string
	Status int
	Code   string
	Detail string
	Reason string
	Errors []struct{ Field, Message string }
}

// statusOf is API.md's table of codes.
var statusOf = map[string]int{
	"invalid": 400, "not-found": 404, "rejected": 422, "conflict": 409, "too-large": 413, "unavailable": 503,
}

// fails reads a problem with a code.
func (a answer) fails(code string) problem {
	a.t.Helper()
	require.Equal(a.t, statusOf[code], a.status, "%s: %s", a.call, a.body)
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	var p problem
	a.decode(&p)
	p.check(a.t, code)
	return p
}

// check looks at what every problem has.
func (p problem) check(t *testing.T, code string) {
	t.Helper()
	require.Equal(t, code, p.Code)
	require.Equal(t, statusOf[code], p.Status)
	require.NotEmpty(t, p.Type)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
}

// rejected reads the domain's no.
func (a answer) rejected(reason string) {
	a.t.Helper()
	require.Equal(a.t, reason, a.fails("rejected").Reason)
}

// invalid reads a fault of the input that names these fields, in any order.
func (a answer) invalid(fields ...string) {
	a.t.Helper()
	named := []string{}
	for _, e := range a.fails("invalid").Errors {
		require.NotEmpty(a.t, e.Message)
		named = append(named, e.Field)
	}
	require.ElementsMatch(a.t, fields, named, "%s: %s", a.call, a.body)
}

// done is the answer to a direct command.
type done struct {
	ID       string          `json:"id"`
	Command  string          `json:"command"`
	Status   string          `json:"status"`
	Entity   string          `json:"entity"`
	Key      string          `json:"key"`
	Sequence uint64          `json:"sequence"`
	Result   json.RawMessage `json:"result"`
}

// completed reads the answer to a direct command that did what it should.
func (a answer) completed() done {
	a.t.Helper()
	var d done
	a.into(&d)
	require.Equal(a.t, "completed", d.Status)
	return d
}

// The types and names of the bank.
const (
	accountType = "bank.account"
	openAccount = "bank.open-account"
	deposit     = "bank.deposit-money"
	withdraw    = "bank.withdraw-money"
)

// unique is a name that nobody else has.
func unique(prefix string) string { return prefix + "-" + uuid.NewString() }

// account opens a new account with a balance, and a limit if it is not 0.
func (b *bank) account(t *testing.T, balance, limit int64) string {
	t.Helper()
	key := unique("account")
	p := params{"account": key, "owner": "Jana"}
	if limit != 0 {
		p["overdraftLimit"] = limit
	}
	b.post(t, openAccount, p).completed()
	if balance != 0 {
		b.post(t, deposit, params{"account": key, "amount": balance}).completed()
	}
	return key
}

// of is the path of something of an account.
func of(key string, more ...string) string {
	return path(append([]string{"entities", accountType, key}, more...)...)
}

// state is a projection's answer.
type state struct {
	State    json.RawMessage `json:"state"`
	Sequence uint64          `json:"sequence"`
	AsOf     time.Time       `json:"asOf"`
}

// project reads a projection of an account.
func (b *bank) project(t *testing.T, key, projection string, changes ...with) state {
	t.Helper()
	var s state
	b.get(t, of(key, "projections", projection), changes...).into(&s)
	return s
}

// balance is what is on an account.
func (b *bank) balance(t *testing.T, key string) int64 {
	t.Helper()
	var n int64
	require.NoError(t, json.Unmarshal(b.project(t, key, "balance").State, &n))
	return n
}

// event is a stored event.
type event struct {
	Sequence uint64          `json:"sequence"`
	Name     string          `json:"name"`
	Version  int             `json:"version"`
	Data     json.RawMessage `json:"data"`
	Context  struct {
		Who           string    `json:"who"`
		Source        string    `json:"source"`
		Commentary    string    `json:"commentary"`
		CorrelationID string    `json:"correlationId"`
		CausationID   string    `json:"causationId"`
		Schema        string    `json:"schema"`
		At            time.Time `json:"at"`
	} `json:"context"`
	Commit struct {
		Number uint64 `json:"number"`
		ID     string `json:"id"`
	} `json:"commit"`
}

// events reads a whole stream, page by page.
func (b *bank) events(t *testing.T, stream string) []event {
	t.Helper()
	var all []event
	for from := uint64(1); from != 0; {
		var page struct {
			Items []event `json:"items"`
			Next  uint64  `json:"next"`
		}
		b.get(t, stream, query("from", jsonText(t, from), "limit", "1000")).into(&page)
		all = append(all, page.Items...)
		from = page.Next
	}
	return all
}

// names are those of events.
func names(events []event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Name)
	}
	return all
}

// jsonText is v as JSON. It may be called from any goroutine.
func jsonText(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}
