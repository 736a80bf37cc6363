package app

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// members lists a group, so many at a time.
func members(t *testing.T, a *api, path string, query url.Values, limit int) []string {
	t.Helper()
	query.Set("limit", strconv.Itoa(limit))
	keys := []string{}
	for {
		var some page[string]
		got := a.get(path + "?" + query.Encode())
		require.Equal(t, 200, got.status, got.body)
		got.decode(t, &some)
		require.NotNil(t, some.Items)
		require.LessOrEqual(t, len(some.Items), limit)
		keys = append(keys, some.Items...)
		if some.Next == "" {
			slices.Sort(keys)
			return keys
		}
		query.Set("cursor", some.Next)
	}
}

func TestMembersOfAGroup(t *testing.T) {
	a := newAPI(t, nil)
	var many, all []string
	var now struct{ AsOf time.Time }
	for i := range 40 {
		key := fmt.Sprintf("%02d / ü", i)
		require.Equal(t, 200, a.post("/commands/test.add", fmt.Sprintf(`{"counter":%q,"by":%d}`, key, i+1)).status)
		if all = append(all, key); i >= 20 {
			many = append(many, key)
		}
		a.get("/entities/test.counter/"+escaped(key)+"/projections/count").decode(t, &now)
	}
	then := now.AsOf
	const path = "/groups/test.counter/above/members"
	for _, limit := range []int{1, 7, 1000} {
		require.Equal(t, many, members(t, a, path, url.Values{"threshold": {"20"}, "label": {""}}, limit))
	}
	for _, key := range all {
		a.post("/commands/test.add", fmt.Sprintf(`{"counter":%q,"by":100}`, key))
	}
	a.post("/commands/test.add", `{"counter":"new","by":100}`)
	require.Equal(t, append(slices.Clone(all), "new"), members(t, a, path, url.Values{"threshold": {"20"}}, 9))
	require.Equal(t, many, members(t, a, path, url.Values{"threshold": {"20"}, "asOf": {then.Format(time.RFC3339Nano)}}, 9))
	require.JSONEq(t, `{"items":[]}`, a.get(path+"?threshold=20&asOf=2001-01-01T00:00:00Z").body)
	require.JSONEq(t, `{"items":[]}`, a.get(path+"?threshold=2000&cursor=").body)
}

func TestGroupsThatAreWrong(t *testing.T) {
	a := newAPI(t, nil)
	const path = "/groups/test.counter/above/members"
	for call, want := range map[string]string{
		"/groups/test.nothing/above/members":                  "not-found",
		"/groups/longrun.index/above/members":                 "not-found",
		"/groups/test.counter/nothing/members":                "not-found",
		"/groups/test.counter/nothing/members?limit=0":        "not-found",
		"/groups/test.counter/above":                          "not-found",
		path:                                                  "invalid threshold",
		path + "?threshold=high":                              "invalid threshold",
		path + "?threshold=":                                  "invalid threshold",
		path + "?threshold=1&treshold=2":                      "invalid treshold",
		path + "?threshold=1&threshold=2":                     "invalid threshold",
		path + "?threshold=1&limit=0":                         "invalid limit",
		path + "?threshold=1&limit=1001":                      "invalid limit",
		path + "?threshold=1&limit=":                          "invalid limit",
		path + "?threshold=1&cursor=x":                        "invalid cursor",
		path + "?threshold=1&asOf=":                           "invalid asOf",
		path + "?threshold=1&asOf=2001-01-01":                 "invalid asOf",
		path + "?threshold=1&asOf=2999-01-01T00:00:00Z":       "invalid asOf",
		path + "?threshold=1&asOf=2001-01-01&limit=x":         "invalid asOf limit",
		path + "?threshold=1&consistency=strong&sequence=123": "invalid consistency sequence",
	} {
		p := a.get(call).problem(t)
		got := []string{string(p.Code)}
		for _, f := range p.Errors {
			got = append(got, f.Field)
		}
		require.Equal(t, want, strings.Join(got, " "), "%s: %s", call, p.Detail)
	}
}

// What operations take in the URL themselves no classifier can.
func TestParametersOfClassifiersThatAreTaken(t *testing.T) {
	type page struct {
		Limit int `json:"limit"`
	}
	_, err := serverOf(t, page{})
	require.ErrorContains(t, err, "limit")
	type moment struct {
		AsOf string `json:"asOf"`
	}
	_, err = serverOf(t, moment{})
	require.ErrorContains(t, err, "asOf")
}

func serverOf[P any](t *testing.T, _ P) (*Server, error) {
	t.Helper()
	counter := es.NewEntity[counterID]("counter", es.EventOf[counted]())
	total := es.NewProjection(counter, "count", es.On(count))
	all, err := catalog.New(es.NewDomain("test", counter, total,
		es.NewClassifier("odd", total, func(P, int) es.Verdict { return es.Undecided })).Catalog())
	require.NoError(t, err)
	return NewServer(Options{Catalog: all})
}
