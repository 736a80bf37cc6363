package actors

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

func TestWhatIsPackedComesBack(t *testing.T) {
	text := rapid.String()
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(-62135596800000000, 1<<52).Draw(t, "µs")).UTC()
	})
	raw := rapid.Custom(func(t *rapid.T) json.RawMessage {
		return rapid.SampledFrom([]json.RawMessage{nil, {}, []byte(`{"a":"<ü>"}`), []byte("1")}).Draw(t, "json")
	})
	rapid.Check(t, func(t *rapid.T) {
		c := Command{
			Name: text.Draw(t, "name"), ID: text.Draw(t, "id"), Params: raw.Draw(t, "params"),
			Expected: rapid.Ptr(rapid.Uint64(), true).Draw(t, "expected"), CauseAt: moment.Draw(t, "cause"),
			Context: stream.Context{
				Who: text.Draw(t, "who"), Source: text.Draw(t, "source"), Commentary: text.Draw(t, "commentary"),
				CorrelationID: text.Draw(t, "correlation"), CausationID: text.Draw(t, "causation"), Schema: text.Draw(t, "schema"),
			},
		}
		r := reply[State]{Value: State{raw.Draw(t, "state"), rapid.Uint64().Draw(t, "sequence"), moment.Draw(t, "asOf")}}
		if rapid.Bool().Draw(t, "refused") {
			r.Fault = catalog.Faultf(catalog.Rejected, "%s", text.Draw(t, "detail"))
		}
		p := newPacker(0)
		c.pack(p)
		if err := packReply(p, &r); err != nil {
			t.Fatal(err)
		}
		u := newUnpacker(p.b)
		var again Command
		again.unpack(u)
		require.Equal(t, c, again)
		require.Equal(t, r, unpackReply[State](u))
		require.NoError(t, u.end())
	})
}

func TestTheZeroTimeComesBackAsZero(t *testing.T) {
	p := newPacker(0)
	p.moment(time.Time{})
	require.True(t, newUnpacker(p.b).moment().IsZero())
}

// Anything can arrive at an actor's method: the sidecar's API calls it too.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("[]"))
	f.Add([]byte{packFormat})
	f.Add([]byte{packFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	expected := uint64(math.MaxUint64)
	f.Add(PackCommands(
		Command{Name: "shop.put", ID: "c1", Params: json.RawMessage(`{"till":"a","amount":1}`)},
		Command{Name: "shop.put", ID: "c2", Expected: &expected, Context: stream.Context{Who: "me"}, CauseAt: time.UnixMicro(1)},
	))
	f.Fuzz(func(t *testing.T, data []byte) {
		u := newUnpacker(data)
		commands := make([]Command, u.count())
		for i := range commands {
			commands[i].unpack(u)
		}
		if u.end() == nil {
			again := newUnpacker(PackCommands(commands...))
			for i := range again.count() {
				var c Command
				c.unpack(again)
				require.Equal(t, commands[i], c)
			}
			require.NoError(t, again.end())
		}
		var r readRequest
		_ = r.unpack(data)
		_, _ = UnpackFaults(data)
		_ = unpackReply[State](newUnpacker(data))
		_ = unpackReply[Judgement](newUnpacker(data))
	})
}
