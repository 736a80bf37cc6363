package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
)

var routingJourneys = []journey{
	{"a direct command is published", publishesADeposit},
	{"a rejection of what is published is recorded", publishesAWithdrawal},
	{"a transfer is published", publishesATransfer},
	{"the same message five times runs once", publishesFiveTimes},
	{"an id is of one command only, whichever way it comes", publishesAndPosts},
	{"a published command starts later", publishesForLater},
	{"what can never be handled is in commands-dead", publishesWhatIsDead},
}

// publish publishes to the topic commands as curl does, at any sidecar.
func (b *bank) publish(t *testing.T, body string, changes ...with) {
	t.Helper()
	sidecar := b.DaprHTTP[b.turn.Add(1)%uint64(len(b.DaprHTTP))]
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, sidecar+"/v1.0/publish/pubsub/commands", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(r)
	}
	answer, err := b.client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	why, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, "%s", why)
}

// message is a command as it is published.
func message(t *testing.T, command, id string, parameters params, more ...any) string {
	t.Helper()
	m := params{"command": command, "id": id, "parameters": parameters}
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return jsonText(t, m)
}

// arrives waits until a published command is known, and has ended.
func (b *bank) arrives(t *testing.T, command, id string) (p progress) {
	t.Helper()
	eventually(t, command+" "+id+" arrives", func() bool {
		a := b.get(t, path("commands", command, id))
		if a.status != http.StatusOK {
			a.fails("not-found")
			return false
		}
		a.decode(&p)
		return p.EndedAt != nil
	})
	return p
}

func publishesADeposit(t *testing.T, b *bank) {
	key, command, other := b.account(t, 0, 0), unique("deposit"), unique("deposit")
	b.publish(t, message(t, deposit, command, params{"account": key, "amount": 5}))
	p := b.arrives(t, deposit, command)
	require.Equal(t, "completed", p.Status)
	require.JSONEq(t, "5", string(p.Result))
	events := b.events(t, of(key, "events"))
	require.Equal(t, []string{"pubsub", command}, []string{events[1].Context.Source, events[1].Context.CorrelationID})

	said := params{"who": "Jana", "source": "branch 7", "commentary": "as told", "correlationId": "nákup", "causationId": "click"}
	b.publish(t, message(t, deposit, other, params{"account": key, "amount": 1}, "expectedSequence", 2, "context", said))
	b.arrives(t, deposit, other)
	for _, e := range append(b.events(t, of(key, "events"))[2:], b.commandEvents(t, deposit, other)...) {
		require.Equal(t, []string{"Jana", "branch 7", "as told", "nákup", "click"},
			[]string{e.Context.Who, e.Context.Source, e.Context.Commentary, e.Context.CorrelationID, e.Context.CausationID})
	}
}

func publishesAWithdrawal(t *testing.T, b *bank) {
	key, command := b.account(t, 1, 0), unique("withdraw")
	b.publish(t, message(t, withdraw, command, params{"account": key, "amount": 5}))
	p := b.arrives(t, withdraw, command)
	require.Equal(t, []string{"rejected", "insufficient-funds"}, []string{p.Status, p.Error.Reason})
	b.post(t, withdraw, params{"account": key, "amount": 5}, id(command)).rejected("insufficient-funds")
}

func publishesATransfer(t *testing.T, b *bank) {
	from, to, command, no, back := b.account(t, 10, 0), b.account(t, 0, 0), unique("transfer"), unique("no"), unique("back")
	b.publish(t, message(t, transfer, command, params{"from": from, "to": to, "amount": 4}, "context", params{"who": "Jana"}))
	require.Equal(t, "completed", b.arrives(t, transfer, command).Status)
	b.publish(t, message(t, transfer, no, params{"from": from, "to": to, "amount": 400}))
	require.Equal(t, "failed", b.arrives(t, transfer, no).Status)
	b.publish(t, message(t, transfer, back, params{"from": from, "to": unique("never"), "amount": 4}))
	require.Equal(t, "compensated", b.arrives(t, transfer, back).Status)
	require.Equal(t, []int64{6, 4}, []int64{b.balance(t, from), b.balance(t, to)})
	for _, e := range b.commandEvents(t, transfer, command) {
		require.Equal(t, []string{"Jana", "pubsub"}, []string{e.Context.Who, e.Context.Source}, e.Name)
	}
}

// publishesFiveTimes sends each message five times at once, and again when its
// command has ended.
func publishesFiveTimes(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	direct, long := unique("deposit"), unique("transfer")
	for command, m := range map[string]string{
		direct: message(t, deposit, direct, params{"account": from, "amount": 1}),
		long:   message(t, transfer, long, params{"from": from, "to": to, "amount": 10}),
	} {
		name := deposit
		if command == long {
			name = transfer
		}
		atOnce(5, func(int) error { b.publish(t, m); return nil })
		require.Equal(t, "completed", b.arrives(t, name, command).Status)
		for range 4 {
			b.publish(t, m)
		}
	}
	last := unique("last") // what came before it has been handed out by then
	b.publish(t, message(t, deposit, last, params{"account": to, "amount": 1}))
	b.arrives(t, deposit, last)
	require.Equal(t, []int64{91, 11}, []int64{b.balance(t, from), b.balance(t, to)})
	require.Len(t, b.events(t, of(from, "events")), 4)
	require.Len(t, b.events(t, of(to, "events")), 3)
	require.Len(t, b.commandEvents(t, transfer, long), 8)
}

func publishesAndPosts(t *testing.T, b *bank) {
	from, to, command := b.account(t, 10, 0), b.account(t, 0, 0), unique("transfer")
	ask := params{"from": from, "to": to, "amount": 4}
	p := b.run(t, transfer, ask, id(command))
	b.publish(t, message(t, transfer, command, ask))
	require.Equal(t, p, b.arrives(t, transfer, command))
	require.Equal(t, int64(6), b.balance(t, from))
}

func publishesForLater(t *testing.T, b *bank) {
	from, to := b.account(t, 10, 0), b.account(t, 0, 0)
	start := time.Now().Add(2 * time.Second).UTC().Truncate(time.Millisecond)
	options := params{"startAt": start.Format(time.RFC3339Nano)}
	for command, ask := range map[string]params{
		transfer: {"from": from, "to": to, "amount": 4}, deposit: {"account": from, "amount": 1},
	} {
		name := unique("later")
		b.publish(t, message(t, command, name, ask, "options", options))
		p := b.arrives(t, command, name)
		require.Equal(t, "completed", p.Status)
		require.False(t, p.Steps[0].StartedAt.Before(start))
	}
}

// letters are what came to commands-dead. It is safe for concurrent use.
type letters struct {
	mu  sync.Mutex
	all []letter
}

// letter is a message that can never be handled.
type letter struct {
	Message  json.RawMessage
	Encoding string
	Bytes    int
	Problem  problem
}

// readLetters reads commands-dead until the test ends, with an app of its own.
func (b *bank) readLetters(t *testing.T) *letters {
	t.Helper()
	l := &letters{}
	dapr := servers.ForTest[*servers.Sidecar](t)(b.StartSidecar(""))
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: dapr.GRPC, CallbackAddr: dapr.Callback})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sidecar.Close() })
	stop, err := sidecar.Host(t.Context(), actors.HostStream, &echo{}, actors.Topic{PubSub: "pubsub", Name: "commands-dead", Handle: l.add})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stop(context.Background()) })
	return l
}

func (l *letters) add(_ context.Context, m actors.Message) error {
	var one letter
	if err := json.Unmarshal(m.Data, &one); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, one)
	return nil
}

// about are the letters whose message has a text in it.
func (l *letters) about(text string) (found []letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if strings.Contains(string(one.Message), text) {
			found = append(found, one)
		}
	}
	return found
}

func publishesWhatIsDead(t *testing.T, b *bank) {
	l := b.readLetters(t)
	from, to := b.account(t, 10, 0), b.account(t, 0, 0)
	ok := params{"account": from, "amount": 1}
	taken := unique("taken")
	b.post(t, deposit, ok, id(taken)).completed()
	for name, c := range map[string]struct {
		message func(id string) string
		code    string
		fields  []string
		command string // whose stream says that it is invalid; empty: there is none
	}{
		"not JSON":        {message: func(id string) string { return `{"command":` + id }, code: "invalid"},
		"no object":       {message: func(id string) string { return `["` + id + `"]` }, code: "invalid"},
		"no id":           {message: func(id string) string { return fmt.Sprintf(`{"command":%q,"parameters":{"a":%q}}`, deposit, id) }, code: "invalid", fields: []string{"id"}},
		"no command":      {message: func(id string) string { return fmt.Sprintf(`{"id":%q,"parameters":{}}`, id) }, code: "invalid", fields: []string{"command"}},
		"unknown command": {message: func(id string) string { return message(t, "bank.rob", id, ok) }, code: "not-found"},
		"unknown field":   {message: func(id string) string { return message(t, deposit, id, ok, "color", "red") }, code: "invalid", fields: []string{"color"}, command: deposit},
		"no parameters":   {message: func(id string) string { return fmt.Sprintf(`{"command":%q,"id":%q}`, transfer, id) }, code: "invalid", fields: []string{"parameters"}, command: transfer},
		"wrong amount": {message: func(id string) string { return message(t, deposit, id, params{"account": from, "amount": 0}) },
			code: "invalid", fields: []string{"amount"}, command: deposit},
		"to itself": {message: func(id string) string {
			return message(t, transfer, id, params{"from": from, "to": from, "amount": 1})
		}, code: "invalid", fields: []string{"to"}, command: transfer},
		"no day": {message: func(id string) string { return message(t, accrueForAll, id, params{"day": "1993-02-29"}) },
			code: "invalid", fields: []string{"day"}, command: accrueForAll},
		"dry run of a transfer": {message: func(id string) string {
			return message(t, transfer, id, params{"from": from, "to": to, "amount": 1}, "options", params{"dryRun": true})
		}, code: "invalid", fields: []string{"options.dryRun"}, command: transfer},
		"wrong sequence": {message: func(id string) string { return message(t, deposit, id, ok, "expectedSequence", 77) }, code: "conflict"},
		"another's id": {message: func(id string) string {
			return message(t, withdraw, taken, params{"account": from, "amount": 1, "purpose": id})
		}, code: "conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			command := unique("dead")
			b.publish(t, c.message(command))
			var got []letter
			eventually(t, "a letter comes", func() bool { got = l.about(command); return len(got) > 0 })
			require.Len(t, got, 1)
			got[0].Problem.check(t, c.code)
			var fields []string
			for _, e := range got[0].Problem.Errors {
				fields = append(fields, e.Field)
			}
			require.Equal(t, c.fields, fields)
			if c.command == "" {
				for _, of := range []string{deposit, transfer, withdraw} {
					b.get(t, path("commands", of, command)).fails("not-found")
				}
				return
			}
			p := b.arrives(t, c.command, command)
			require.Equal(t, []string{"invalid", "invalid"}, []string{p.Status, p.Error.Code})
			require.Equal(t, c.fields[0], p.Error.Errors[0].Field)
			events := b.commandEvents(t, c.command, command)
			require.Equal(t, []string{"created", "parameters-set", "invalidated"}, names(events))
			require.Len(t, b.listed(t, command, "status", "invalid"), 1)
			b.action(t, c.command, command, "cancel").fails("conflict")

			b.publish(t, c.message(command)) // it is as dead the second time
			eventually(t, "another letter comes", func() bool { return len(l.about(command)) == 2 })
			require.Equal(t, events, b.commandEvents(t, c.command, command))
		})
	}
	require.Equal(t, []int64{11, 0}, []int64{b.balance(t, from), b.balance(t, to)})
	require.False(t, slices.ContainsFunc(l.about(taken), func(one letter) bool { return one.Problem.Code != "conflict" }))
}
