package app

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// escaped writes a key as one segment of a path; dots too, which url.PathEscape
// leaves and http.Client would clean.
func escaped(key string) string {
	return strings.ReplaceAll(url.PathEscape(key), ".", "%2E")
}

// post a command on the key and read it back everywhere that a key comes back.
func keyComesBack(t *testing.T, a *api, key string) {
	t.Helper()
	body, err := encodeJSON(map[string]any{"counter": key, "by": 1})
	require.NoError(t, err)
	var did actors.Answer
	done := a.post("/commands/test.add", string(body))
	require.Equal(t, 200, done.status, "%q: %s", key, done.body)
	done.decode(t, &did)
	require.Equal(t, key, did.Key)
	for _, path := range []string{escaped(key), everyByteEscaped(key)} {
		read := a.get("/entities/test.counter/" + path + "/projections/count?sequence=1")
		require.Equal(t, 200, read.status, "%q: %s", key, read.body)
		var state struct{ State, Sequence int }
		read.decode(t, &state)
		require.Equal(t, 1, state.State)
		require.Equal(t, 200, a.get("/entities/test.counter/"+path+"/events").status, "%q", key)
	}
}

func everyByteEscaped(key string) string {
	var b strings.Builder
	for i := range len(key) {
		fmt.Fprintf(&b, "%%%02x", key[i])
	}
	return b.String()
}

func listedKeys(t *testing.T, a *api, limit int) []string {
	t.Helper()
	var keys []string
	cursor := ""
	for {
		var some page[string]
		a.get(fmt.Sprintf("/entities/test.counter?limit=%d&cursor=%s", limit, cursor)).decode(t, &some)
		keys = append(keys, some.Items...)
		if cursor = some.Next; cursor == "" {
			return keys
		}
	}
}

func TestKeysComeBack(t *testing.T) {
	a := newAPI(t, nil)
	keys := []string{
		"a", "A", "a b", " ", "a/b", "/", "//", `a\b`, "a#b", "a?b", "?", "a||b", ".", "..", "...", "../..", "./x", "%", "%25", "%2F", "%2e%2e",
		"%zz", "+", "a+b", "a&b=c", ";", ":", "@", "~", "_", "a~b_5f", "{key}", "events", "projections", "účet", "帳戶", "مفتاح", "☃", "🙂", "\u200b",
		"e\u0301", "é", "<script>", "'", `"`, "`", "\u2028", "|", "*", strings.Repeat("k", 512), strings.Repeat("ž", 256), strings.Repeat("/", 512),
	}
	for _, key := range keys {
		keyComesBack(t, a, key)
	}
	for _, raw := range []string{".", "..", "účet", "a;b"} { // a client that escapes less than it should
		require.Equal(t, 200, a.post("/commands/test.add", `{"counter":"`+raw+`","by":1}`).status)
		require.Equal(t, 200, a.get("/entities/test.counter/"+raw+"/projections/count").status, raw)
	}
	keys = append(keys, "a;b")
	slices.Sort(keys)
	for _, limit := range []int{1, 7, 1000} {
		listed := listedKeys(t, a, limit)
		slices.Sort(listed)
		require.Equal(t, keys, listed)
	}
}

func TestRandomKeysComeBack(t *testing.T) {
	a := newAPI(t, nil)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		keyComesBack(t, a, randomKey(random))
	}
}

// randomKey makes a key that can be used, of the bytes and signs that URLs,
// stores and file systems find special, and of any script.
func randomKey(random *rand.Rand) string {
	const special, plain = "/\\#?%.~_|&=+ ;:@\"'<>{}[]^`*", "abcXYZ019-"
	for {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			switch random.IntN(3) {
			case 0:
				b.WriteByte(special[random.IntN(len(special))])
			case 1:
				b.WriteByte(plain[random.IntN(len(plain))])
			default:
				if r := rune(random.IntN(unicode.MaxRune)); r < 0xd800 || r > 0xdfff {
					b.WriteRune(r)
				}
			}
		}
		if key := b.String(); stream.CheckKey(key) == nil {
			return key
		}
	}
}

func FuzzKeys(f *testing.F) {
	for _, key := range []string{"a", "a/b", "..", "%2F", "%", "?", "☃", "a\x00", "a\xff", ""} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		a := newAPI(t, nil)
		if stream.CheckKey(key) != nil {
			require.Contains(t, []int{400, 404}, a.get("/entities/test.counter/"+everyByteEscaped(key)+"/events").status)
			return
		}
		keyComesBack(t, a, key)
	})
}

func TestReadsOfAnEntity(t *testing.T) {
	a := newAPI(t, nil)
	for i := range 5 {
		a.post("/commands/test.add", fmt.Sprintf(`{"counter":"c","by":%d,"note":"n%d"}`, i+1, i))
	}
	state := func(query string) (s actors.State) {
		t.Helper()
		got := a.get("/entities/test.counter/c/projections/count" + query)
		require.Equal(t, 200, got.status, got.body)
		got.decode(t, &s)
		return s
	}
	now := state("")
	require.Equal(t, "15", string(now.State))
	require.EqualValues(t, 5, now.Sequence)
	require.Equal(t, now, state("?consistency=strong"))
	require.Equal(t, "3", string(state("?sequence=2").State))
	require.Equal(t, "0", string(state("?asOf=2001-01-01T00:00:00Z").State), "before it existed: the initial state")
	require.EqualValues(t, 0, state("?asOf=2001-01-01T00:00:00Z").Sequence)
	require.Equal(t, time.UTC, now.AsOf.Location())

	var first, rest eventPage
	a.get("/entities/test.counter/c/events?limit=3").decode(t, &first)
	require.Len(t, first.Items, 3)
	require.EqualValues(t, 4, first.Next)
	a.get(fmt.Sprintf("/entities/test.counter/c/events?from=%d", first.Next)).decode(t, &rest)
	require.Len(t, rest.Items, 2)
	require.Zero(t, rest.Next)
	e := rest.Items[0]
	require.JSONEq(t, `{"by":4,"note":"n3"}`, string(e.Data))
	require.Equal(t, []any{uint64(4), "counted", 1}, []any{e.Sequence, e.Name, e.Version})
	require.NotZero(t, e.Commit.Number)
	require.Len(t, e.Commit.ID, 32)
	require.NotEmpty(t, e.Context.Schema)
	require.False(t, e.Context.At.IsZero())
	require.JSONEq(t, `{"items":[]}`, a.get("/entities/test.counter/c/events?from=99").body)

	var verdict judgement
	a.get("/entities/test.counter/c/classifications/above?threshold=14&label=1").decode(t, &verdict)
	require.Equal(t, judgement{"included", 5}, verdict)
	a.get("/entities/test.counter/c/classifications/above?threshold=15&asOf="+now.AsOf.Format(time.RFC3339Nano)).decode(t, &verdict)
	require.Equal(t, judgement{"excluded", 5}, verdict)

	var report verification
	a.post("/entities/test.counter/c/verify", "").decode(t, &report)
	require.True(t, report.OK, report.Problem)
	require.EqualValues(t, 5, report.Events)
	require.EqualValues(t, 5, report.Commits)
	require.EqualValues(t, 5, report.Head, "the newest commit, although no head is stored yet")
}

func TestReadsThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	a.post("/commands/test.add", `{"counter":"c","by":1}`)
	c := "/entities/test.counter/c"
	for path, want := range map[string]string{
		"/entities/test.nothing":                                                 "not-found",
		"/entities/longrun.index":                                                "not-found",
		"/entities/test.counter?limit=many":                                      "invalid limit",
		"/entities/test.counter?cursor=x":                                        "invalid cursor",
		"/entities/test.counter/new/events":                                      "not-found",
		"/entities/test.nothing/c/events":                                        "not-found",
		"/entities/test.counter//events":                                         "invalid key",
		"/entities/test.counter/a%0ab/events":                                    "invalid key",
		"/entities/test.counter/%FF/events":                                      "invalid key",
		"/entities/test.counter/" + strings.Repeat("k", 513) + "/events":         "invalid key",
		c + "/events?from=0&limit=0":                                             "invalid from limit",
		c + "/events?from=-1":                                                    "invalid from",
		c + "/events?follow=1":                                                   "invalid follow",
		"/entities/test.counter/new/events?follow=true":                          "not-found",
		c + "/projections/nothing":                                               "not-found",
		"/entities/test.counter/new/projections/count":                           "not-found",
		"/entities/test.counter/new/projections/count?asOf=2001-01-01":           "invalid asOf",
		c + "/projections/count?asOf=2999-01-01T00:00:00Z":                       "invalid asOf",
		c + "/projections/count?asof=2001-01-01T00:00:00Z":                       "invalid asof",
		c + "/projections/count?asOf=2001-01-01T00:00:00Z&sequence=1":            "invalid sequence",
		c + "/projections/count?consistency=weak":                                "invalid consistency",
		c + "/projections/count?sequence=1.5":                                    "invalid sequence",
		c + "/classifications/nothing":                                           "not-found",
		c + "/classifications/above":                                             "invalid threshold",
		c + "/classifications/above?threshold=high":                              "invalid threshold",
		c + "/classifications/above?threshold=1&treshold=2":                      "invalid treshold",
		c + "/classifications/above?threshold=1&threshold=2":                     "invalid threshold",
		c + "/classifications/above?threshold=1&asOf=2999-01-01T00:00:00Z":       "invalid asOf",
		"/entities/test.counter/new/classifications/above?threshold=1":           "not-found",
		"/entities/test.counter/new/projections/count?consistency=strong":        "not-found",
		"/entities/test.counter/new/projections/count?asOf=2001-01-01T00:00:00Z": "not-found",
	} {
		p := a.get(path).problem(t)
		got := []string{string(p.Code)}
		for _, f := range p.Errors {
			got = append(got, f.Field)
		}
		require.Equal(t, want, strings.Join(got, " "), "%s: %s", path, p.Detail)
	}
	require.Equal(t, catalog.Invalid, a.post(c+"/verify?x=1", "").problem(t).Code)
}
