package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var bulkJourneys = []journey{
	{"a bulk is answered line by line", postsABulk},
	{"a bulk keeps the order of each account", postsInOrder},
	{"a bulk that comes again is answered again", repeatsABulk},
	{"a line that is wrong stops no other", postsWrongLines},
	{"a line can have a megabyte", postsLongLines},
	{"a bulk is answered while its lines still come", postsSlowly},
	{"a bulk carries a context", postsABulkInAContext},
	{"an empty bulk is answered with nothing", postsAnEmptyBulk},
}

// line is one line of a bulk.
type line struct {
	Command          string  `json:"command"`
	ID               string  `json:"id,omitempty"`
	Parameters       params  `json:"parameters"`
	ExpectedSequence *uint64 `json:"expectedSequence,omitempty"`
}

// reply is the answer to a line.
type reply struct {
	Line int `json:"line"`
	done
	Error *problem `json:"error"`
}

// bulk posts lines: values that are written as JSON, or text as it is.
func bulk[L any](t *testing.T, b *bank, lines []L, changes ...with) []reply {
	t.Helper()
	var body strings.Builder
	for _, l := range lines {
		if text, ok := any(l).(string); ok {
			body.WriteString(text)
		} else {
			body.WriteString(jsonText(t, l))
		}
		body.WriteByte('\n')
	}
	changes = append(changes, header("Content-Type", "application/x-ndjson"))
	a := b.do(t, http.MethodPost, "/commands", body.String(), changes...)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	var replies []reply
	for text := range strings.Lines(string(a.body)) {
		replies = append(replies, parseReply(t, text))
	}
	return replies
}

func parseReply(t *testing.T, text string) reply {
	t.Helper()
	var r reply
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r), text)
	return r
}

// fails reads the problem of a line.
func (r reply) fails(t *testing.T, code string) problem {
	t.Helper()
	require.Equal(t, "error", r.Status, "line %d", r.Line)
	require.NotNil(t, r.Error)
	r.Error.check(t, code)
	return *r.Error
}

func postsABulk(t *testing.T, b *bank) {
	key, other := unique("account"), unique("account")
	lines := []line{
		{Command: openAccount, ID: unique("open"), Parameters: params{"account": key, "owner": "Jana"}},
		{Command: openAccount, ID: unique("open"), Parameters: params{"account": other, "owner": "Petr"}},
		{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 5}},
		{Command: withdraw, ID: unique("withdraw"), Parameters: params{"account": other, "amount": 5}},
		{Command: withdraw, ID: unique("withdraw"), Parameters: params{"account": key, "amount": 2}},
	}
	replies := bulk(t, b, lines)
	require.Len(t, replies, len(lines))
	for i, r := range replies {
		require.Equal(t, i+1, r.Line)
		require.Equal(t, lines[i].ID, r.ID)
	}
	require.Equal(t, done{lines[0].ID, openAccount, "completed", accountType, key, 1, nil}, replies[0].done)
	require.Equal(t, done{lines[2].ID, deposit, "completed", accountType, key, 2, json.RawMessage("5")}, replies[2].done)
	require.Equal(t, "insufficient-funds", replies[3].fails(t, "rejected").Reason)
	require.Equal(t, int64(3), b.balance(t, key))
	require.Equal(t, "rejected", b.progress(t, withdraw, lines[3].ID).Status)
}

// postsInOrder states each line's sequence, so that only the order of the input
// can succeed.
func postsInOrder(t *testing.T, b *bank) {
	const accounts, rounds = 20, 25
	var keys []string
	var lines []line
	for range accounts {
		keys = append(keys, unique("account"))
	}
	for round := range uint64(rounds) {
		for _, key := range keys {
			l := line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}, ExpectedSequence: &round}
			if round == 0 {
				l.Command, l.Parameters = openAccount, params{"account": key, "owner": "Jana"}
			}
			lines = append(lines, l)
		}
	}
	for i, r := range bulk(t, b, lines) {
		require.Equal(t, "completed", r.Status, "line %d: %+v", r.Line, r.Error)
		require.EqualValues(t, i/accounts+1, r.Sequence)
	}
	for _, key := range keys {
		require.Equal(t, int64(rounds-1), b.balance(t, key))
	}
}

func repeatsABulk(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	var lines []line
	for range 50 {
		lines = append(lines, line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}})
	}
	lines = append(lines, lines[7], lines[7])
	first := bulk(t, b, lines)
	require.Equal(t, first[7].done, first[50].done)
	require.Equal(t, first, bulk(t, b, lines))
	require.Equal(t, int64(50), b.balance(t, key))
}

func postsWrongLines(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	good := func() string {
		return jsonText(t, line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}})
	}
	wrong := []struct {
		line, code string
		fields     string // named in errors, if any are
	}{
		{`{"command":`, "invalid", ""},
		{`[]`, "invalid", ""},
		{`"deposit"`, "invalid", ""},
		{`{}`, "invalid", "command id parameters"},
		{`null`, "invalid", "command id parameters"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","parameters":{"account":%q,"amount":1}}`, key), "invalid", "id"},
		{fmt.Sprintf(`{"command":null,"id":null,"parameters":{"account":%q,"amount":1}}`, key), "invalid", "command id"},
		{good() + good(), "invalid", ""},
		{fmt.Sprintf(`{"command":"bank.rob","id":"x","parameters":{"account":%q}}`, key), "not-found", ""},
		{`{"command":"bank.deposit-money","id":"x"}`, "invalid", "parameters"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":"x","parameters":{"account":%q}}`, key), "invalid", "amount"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":"","parameters":{"account":%q,"amount":1}}`, key), "invalid", "id"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":7,"parameters":{"account":%q,"amount":1}}`, key), "invalid", "id"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":"x","nonsense":7,"parameters":{"account":%q,"amount":1}}`, key), "invalid", "nonsense"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":"x","expectedSequence":-1,"parameters":{"account":%q,"amount":1}}`, key), "invalid", "expectedSequence"},
		{fmt.Sprintf(`{"command":"bank.deposit-money","id":%q,"expectedSequence":77,"parameters":{"account":%q,"amount":1}}`, unique("late"), key), "conflict", ""},
		{fmt.Sprintf(`{"command":"bank.withdraw-money","id":%q,"parameters":{"account":%q,"amount":1000}}`, unique("much"), key), "rejected", ""},
	}
	var lines []string
	for _, w := range wrong {
		lines = append(lines, w.line, good())
	}
	replies := bulk(t, b, lines)
	require.Len(t, replies, len(lines))
	for i, w := range wrong {
		r := replies[2*i]
		require.Equal(t, 2*i+1, r.Line)
		p := r.fails(t, w.code)
		var fields []string
		for _, f := range p.Errors {
			fields = append(fields, f.Field)
		}
		require.Equal(t, w.fields, strings.Join(fields, " "), w.line)
		require.Equal(t, "completed", replies[2*i+1].Status)
	}
	require.Equal(t, int64(len(wrong)), b.balance(t, key))
}

func postsLongLines(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	pad := func(size int) string {
		l := jsonText(t, line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}})
		return l + strings.Repeat(" ", max(0, size-len(l)))
	}
	replies := bulk(t, b, []string{pad(1 << 20), pad(1<<20 + 1), pad(5 << 20), pad(0)})
	require.Len(t, replies, 4)
	require.Equal(t, "completed", replies[0].Status)
	replies[1].fails(t, "too-large")
	replies[2].fails(t, "too-large")
	require.Equal(t, "completed", replies[3].Status)
	require.Equal(t, int64(2), b.balance(t, key))
}

func postsSlowly(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	body, lines := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url("/commands"), body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := b.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	answers := bufio.NewScanner(resp.Body)
	for i := range 5 {
		_, err := fmt.Fprintln(lines, jsonText(t, line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}}))
		require.NoError(t, err)
		require.True(t, answers.Scan(), "line %d is not answered before the next one comes", i+1)
		r := parseReply(t, answers.Text())
		require.Equal(t, i+1, r.Line)
		require.EqualValues(t, i+2, r.Sequence)
	}
	require.NoError(t, lines.Close())
	require.False(t, answers.Scan())
	require.NoError(t, answers.Err())
}

func postsABulkInAContext(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	l := line{Command: deposit, ID: unique("deposit"), Parameters: params{"account": key, "amount": 1}}
	replies := bulk(t, b, []line{l}, header("Correlation-Id", "night run"), header("X-Who", "Petr"))
	require.Equal(t, "completed", replies[0].Status)
	context := b.events(t, of(key, "events"))[1].Context
	require.Equal(t, "night run", context.CorrelationID)
	require.Equal(t, "Petr", context.Who)
}

func postsAnEmptyBulk(t *testing.T, b *bank) {
	require.Empty(t, bulk(t, b, []string{}))
	require.Empty(t, bulk(t, b, []string{"", "  "}))
}
