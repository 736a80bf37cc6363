package tests

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var followJourneys = []journey{
	{"a stream is followed", followsAnAccount},
	{"a follower that comes back goes on where it was", comesBack},
	{"a stream is followed from a sequence", followsFrom},
	{"a command's stream is followed", followsACommand},
}

// followTimeout is how long an event may be on its way to a follower.
const followTimeout = 10 * time.Second

// follower reads server-sent events.
type follower struct {
	t      *testing.T
	events chan event // closed at the end
}

// follow opens a stream at the replica whose turn it is. It ends with the test.
func (b *bank) follow(t *testing.T, stream string, changes ...with) *follower {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url(stream), http.NoBody)
	require.NoError(t, err)
	query("follow", "true")(req)
	for _, change := range changes {
		change(req)
	}
	resp, err := (&http.Client{Transport: b.client.Transport}).Do(req) // it has no end that could be waited for
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	f := &follower{t: t, events: make(chan event)}
	go f.read(resp)
	return f
}

// read parses what comes. An id must be its event's sequence.
func (f *follower) read(resp *http.Response) {
	defer close(f.events)
	var id string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			f.t.Errorf("an event of the kind %q", value)
		case "data":
			var e event
			if err := json.Unmarshal([]byte(value), &e); err != nil || id != strconv.FormatUint(e.Sequence, 10) {
				f.t.Errorf("id %q, data %q: %v", id, value, err)
			}
			select {
			case f.events <- e:
			case <-f.t.Context().Done():
				return
			}
		}
	}
}

// next waits for the next event.
func (f *follower) next() event {
	f.t.Helper()
	select {
	case e, more := <-f.events:
		require.True(f.t, more, "the stream ended")
		return e
	case <-time.After(followTimeout):
		require.Fail(f.t, "no event came")
		return event{}
	}
}

// sees waits for these events.
func (f *follower) sees(want ...event) {
	f.t.Helper()
	for _, e := range want {
		require.Equal(f.t, e, f.next())
	}
}

// followsAnAccount shows that a follower sees what is there, and then what comes.
// It follows at every replica: the entity lives at one of them.
func followsAnAccount(t *testing.T, b *bank) {
	key := b.account(t, 10, 0)
	var followers []*follower
	for range b.API {
		followers = append(followers, b.follow(t, of(key, "events")))
	}
	for _, f := range followers {
		f.sees(b.events(t, of(key, "events"))...)
	}
	for range 3 {
		sequence := b.post(t, deposit, params{"account": key, "amount": 1}).completed().Sequence
		for _, f := range followers {
			f.sees(b.events(t, of(key, "events"))[sequence-1])
		}
	}
}

func comesBack(t *testing.T, b *bank) {
	key := b.account(t, 10, 0)
	f := b.follow(t, of(key, "events"), header("Last-Event-ID", "1"))
	require.Equal(t, "money-deposited", f.next().Name)
	b.post(t, withdraw, params{"account": key, "amount": 1}).completed()
	require.Equal(t, "money-withdrawn", f.next().Name)
}

func followsFrom(t *testing.T, b *bank) {
	key := b.account(t, 10, 0)
	f := b.follow(t, of(key, "events"), query("from", "3"))
	b.post(t, withdraw, params{"account": key, "amount": 1}).completed()
	require.Equal(t, "money-withdrawn", f.next().Name)
}

func followsACommand(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 10}, id(command)).completed()
	stream := path("commands", deposit, command, "events")
	b.follow(t, stream).sees(b.events(t, stream)...)
	b.get(t, path("commands", deposit, unique("never"), "events"), query("follow", "true")).fails("not-found")
}
