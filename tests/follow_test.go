package tests

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
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
	resp, err := b.openFollow(t.Context(), stream, changes...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	f := &follower{t: t, events: make(chan event)}
	go func() {
		defer close(f.events)
		readEvents(resp.Body, func(e event, id, kind string) bool {
			if kind != "" || id != strconv.FormatUint(e.Sequence, 10) {
				t.Errorf("kind %q, id %q: %+v", kind, id, e)
			}
			select {
			case f.events <- e:
				return true
			case <-t.Context().Done():
				return false
			}
		})
	}()
	return f
}

// openFollow asks for a stream that is kept open until ctx ends.
func (b *bank) openFollow(ctx context.Context, stream string, changes ...with) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url(stream), http.NoBody)
	if err != nil {
		return nil, err
	}
	query("follow", "true")(req)
	for _, change := range changes {
		change(req)
	}
	return (&http.Client{Transport: b.client.Transport}).Do(req) // it has no end that could be waited for
}

// readEvents parses server-sent events until there are no more, or each has
// enough. An event of another kind than "" is none of the stream.
func readEvents(body io.Reader, each func(e event, id, kind string) bool) {
	var e event
	var id, kind string
	for lines := bufio.NewScanner(body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			e = event{}
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				kind = err.Error()
			}
			if !each(e, id, kind) {
				return
			}
			id, kind = "", ""
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
