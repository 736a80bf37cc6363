package app

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

func testParams(t testing.TB, command string) *params {
	t.Helper()
	all, err := catalog.New(testDomain().Catalog())
	require.NoError(t, err)
	p, err := commandParams(newRegistry(), all.Commands[command])
	require.NoError(t, err)
	return p
}

func TestParamsThatAreWrong(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for name, test := range map[string]struct{ command, body, fields string }{
		"empty":                   {"add", "", ""},
		"white space":             {"add", " \n", ""},
		"not JSON":                {"add", "counter=a&by=1", ""},
		"cut off":                 {"add", `{"counter":"a","by":1`, ""},
		"trailing data":           {"add", `{"counter":"a","by":1} {}`, ""},
		"trailing text":           {"add", `{"counter":"a","by":1}x`, ""},
		"byte order mark":         {"add", "\ufeff" + `{"counter":"a","by":1}`, ""},
		"array":                   {"add", `[]`, ""},
		"text":                    {"add", `"a"`, ""},
		"null":                    {"add", `null`, ""},
		"number":                  {"add", `1`, ""},
		"NaN":                     {"add", `{"counter":"a","by":NaN}`, ""},
		"single quotes":           {"add", `{'counter':'a','by':1}`, ""},
		"nested deep":             {"add", deep, ""},
		"nested deep inside":      {"everything", `{"counter":"a","any":` + deep + `}`, ""},
		"duplicate":               {"add", `{"counter":"a","by":1,"by":2}`, "by"},
		"duplicate inside":        {"everything", `{"counter":"a","any":{"x":[{"y":1,"y":2}]}}`, "any.x.0.y"},
		"duplicate, escaped":      {"add", `{"counter":"a","by":1,"\u0062y":2}`, "by"},
		"missing":                 {"add", `{"counter":"a"}`, "by"},
		"all missing":             {"add", `{}`, "by counter"},
		"wrong type":              {"add", `{"counter":1,"by":"1"}`, "by counter"},
		"unknown":                 {"add", `{"counter":"a","by":1,"more":1}`, "more"},
		"other case":              {"add", `{"counter":"a","By":1}`, "By by"},
		"both cases":              {"add", `{"counter":"a","by":1,"BY":500}`, "BY"},
		"below minimum":           {"add", `{"counter":"a","by":0}`, "by"},
		"negative":                {"add", `{"counter":"a","by":-5}`, "by"},
		"above int64":             {"add", `{"counter":"a","by":9223372036854775808}`, "by"},
		"far above int64":         {"add", `{"counter":"a","by":1e30}`, "by"},
		"absurd":                  {"add", `{"counter":"a","by":1e999999999999999999999}`, "by"},
		"absurdly small":          {"add", `{"counter":"a","by":1e-9223372036854775808}`, "by"},
		"largest exponent":        {"add", `{"counter":"a","by":1e9223372036854775807}`, "by"},
		"fraction":                {"add", `{"counter":"a","by":1.5}`, "by"},
		"null for a number":       {"add", `{"counter":"a","by":null}`, "by"},
		"null for what may miss":  {"add", `{"counter":"a","by":1,"note":null}`, "note"},
		"too long":                {"add", `{"counter":"a","by":1,"note":"` + strings.Repeat("ž", 21) + `"}`, "note"},
		"several":                 {"add", `{"counter":7,"by":0,"note":true}`, "by counter note"},
		"bytes that are not UTF8": {"add", "{\"counter\":\"a\xff\",\"by\":1}", ""},
		"lone surrogate":          {"add", `{"counter":"a\ud800","by":1}`, ""},
		"empty key":               {"add", `{"counter":"","by":1}`, "counter"},
		"key with a control":      {"add", `{"counter":"a\u0000","by":1}`, "counter"},
		"key with a newline":      {"add", `{"counter":"a\nb","by":1}`, "counter"},
		"key too long":            {"add", `{"counter":"` + strings.Repeat("k", 513) + `","by":1}`, "counter"},
		"key too long in bytes":   {"add", `{"counter":"` + strings.Repeat("ž", 257) + `","by":1}`, "counter"},
		"beyond the Go type":      {"everything", `{"counter":"a","small":-129}`, "small"},
		"above maximum":           {"everything", `{"counter":"a","small":101}`, "small"},
		"beyond uint64":           {"everything", `{"counter":"a","big":18446744073709551616}`, "big"},
		"negative uint64":         {"everything", `{"counter":"a","big":-1}`, "big"},
		"not above":               {"everything", `{"counter":"a","share":0}`, "share"},
		"beyond float64":          {"everything", `{"counter":"a","share":1e400}`, "share"},
		"not a boolean":           {"everything", `{"counter":"a","sure":"true"}`, "sure"},
		"not among":               {"everything", `{"counter":"a","size":"xl","step":7}`, "size step"},
		"not a day":               {"everything", `{"counter":"a","day":"2026-02-30"}`, "day"},
		"not a time":              {"everything", `{"counter":"a","at":"yesterday"}`, "at"},
		"list too long":           {"everything", `{"counter":"a","list":[{"name":"a"},{"name":"a"},{"name":"a"},{"name":"a"}]}`, "list"},
		"list too short":          {"everything", `{"counter":"a","list":[]}`, "list"},
		"inside a list":           {"everything", `{"counter":"a","list":[{"name":"a"},{"name":"B","inner":{"nme":"x"}}]}`, "list[1].inner.name list[1].inner.nme list[1].name"},
		"inside a map":            {"everything", `{"counter":"a","map":{"x":1,"y.z":"2"}}`, "map.y.z"},
		"object for text":         {"everything", `{"counter":{},"day":[]}`, "counter day"},
		"not base64":              {"everything", `{"counter":"a","blob":"!"}`, "blob"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testParams(t, "test."+test.command).check([]byte(test.body))
			var f *catalog.Fault
			require.ErrorAs(t, err, &f)
			require.Equal(t, catalog.Invalid, f.Code)
			require.NotEmpty(t, f.Detail)
			var fields []string
			for _, field := range f.Fields {
				require.NotEmpty(t, field.Message)
				fields = append(fields, field.Field)
			}
			require.Equal(t, test.fields, strings.Join(fields, " "), f.Error())
		})
	}
}

func TestParamsThatAreRight(t *testing.T) {
	for name, test := range map[string]struct{ command, body, canonical string }{
		"as it is":            {"add", `{"by":1,"counter":"a"}`, `{"by":1,"counter":"a"}`},
		"order and space":     {"add", " {\n\"counter\" : \"a\", \"by\" : 1 }\r\n", `{"by":1,"counter":"a"}`},
		"escapes":             {"add", `{"counter":"\u0061\/<","by":1}`, `{"by":1,"counter":"a/<"}`},
		"exact":               {"add", `{"counter":"a","by":9007199254740993}`, `{"by":9007199254740993,"counter":"a"}`},
		"largest":             {"add", `{"counter":"a","by":9223372036854775807}`, `{"by":9223372036854775807,"counter":"a"}`},
		"whole with a point":  {"add", `{"counter":"a","by":5.0}`, `{"by":5,"counter":"a"}`},
		"exponent":            {"add", `{"counter":"a","by":1.20E2}`, `{"by":120,"counter":"a"}`},
		"exact with a point":  {"add", `{"counter":"a","by":9007199254740993.0}`, `{"by":9007199254740993,"counter":"a"}`},
		"any script":          {"add", `{"counter":"účet ☃ 帳戶","by":1}`, `{"by":1,"counter":"účet ☃ 帳戶"}`},
		"longest key":         {"add", `{"counter":"` + strings.Repeat("k", 512) + `","by":1}`, `{"by":1,"counter":"` + strings.Repeat("k", 512) + `"}`},
		"minus zero":          {"everything", `{"counter":"a","small":-0}`, `{"counter":"a","small":0}`},
		"largest uint64":      {"everything", `{"counter":"a","big":18446744073709551615}`, `{"big":18446744073709551615,"counter":"a"}`},
		"fractions":           {"everything", `{"counter":"a","share":0.10}`, `{"counter":"a","share":0.1}`},
		"among":               {"everything", `{"counter":"a","size":"m","step":10}`, `{"counter":"a","size":"m","step":10}`},
		"null where it may":   {"everything", `{"counter":"a","maybe":null}`, `{"counter":"a","maybe":null}`},
		"anything, as it was": {"everything", `{"counter":"a","any":{"b":1.00,"a":9007199254740993.5}}`, `{"any":{"a":9007199254740993.5,"b":1.00},"counter":"a"}`},
		"nested":              {"everything", `{"counter":"a","list":[{"name":"a","inner":{"name":"b"}}]}`, `{"counter":"a","list":[{"inner":{"name":"b"},"name":"a"}]}`},
		"map":                 {"everything", `{"counter":"a","map":{"y":1,"x":2}}`, `{"counter":"a","map":{"x":2,"y":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			canonical, err := testParams(t, "test."+test.command).check([]byte(test.body))
			require.NoError(t, err)
			require.Equal(t, test.canonical, string(canonical))
		})
	}
}

// Whatever bytes come, params answers with a fault that says that they are
// invalid, or with canonical JSON that it takes again as it is, that the
// command can decode, and whose key a stream can have.
func FuzzParams(f *testing.F) {
	f.Add([]byte(`{"counter":"a","by":1}`))
	commands := []*params{testParams(f, "test.add"), testParams(f, "test.everything")}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range commands {
			canonical, err := p.check(body)
			if err != nil {
				var fault *catalog.Fault
				require.ErrorAs(t, err, &fault)
				require.Equal(t, catalog.Invalid, fault.Code)
				_, err := json.Marshal(fault)
				require.NoError(t, err)
				continue
			}
			require.True(t, json.Valid(canonical))
			again, err := p.check(canonical)
			require.NoError(t, err)
			require.Equal(t, string(canonical), string(again))
			in, err := p.decode(canonical)
			require.NoError(t, err)
			require.NoError(t, stream.CheckKey(p.key(in)))
		}
	})
}

func TestWholeNumber(t *testing.T) {
	for literal, want := range map[string]any{
		"0": int64(0), "-0": int64(0), "0.0": int64(0), "0e5": int64(0), "7": int64(7), "-7": int64(-7), "70e-1": int64(7),
		"1e2": int64(100), "1.5e1": int64(15), "123.4500e2": int64(12345), "-9223372036854775808": int64(math.MinInt64),
		"9223372036854775808": uint64(1 << 63), "18446744073709551615": uint64(math.MaxUint64),
		"0.00000000000000000001e20": int64(1), "100000000000000000000000e-20": int64(1000),
	} {
		got, err := wholeNumber(literal)
		require.NoError(t, err, literal)
		require.Equal(t, want, got, literal)
	}
	for _, literal := range []string{"1.5", "1e-1", "18446744073709551616", "-9223372036854775809", "1e20", "1e99", "0.1e0", "12e-1"} {
		_, err := wholeNumber(literal)
		require.Error(t, err, literal)
	}
}

// Two domains may name a Go type the same.
func TestSchemasOfOneName(t *testing.T) {
	r := newRegistry()
	_, err := schemaOf(r, reflect.TypeOf(add{}))
	require.NoError(t, err)
	type add struct{ X int }
	s, err := schemaOf(r, reflect.TypeOf(add{}))
	require.NoError(t, err)
	require.Equal(t, "#/components/schemas/Add2", s.Ref)
}

func TestParametersThatHaveNoSchema(t *testing.T) {
	type bad struct {
		Counter counterID `json:"counter" minimum:"low"`
	}
	counter := es.NewEntity[counterID]("counter", es.EventOf[counted]())
	total := es.NewProjection(counter, "count", es.On(count))
	domain := es.NewDomain("test", counter, total,
		es.NewCommand("bad", es.Decide("bad", func(b bad) counterID { return b.Counter }, total,
			func(int, es.Call[bad]) (es.Events, es.None, error) { return nil, es.None{}, nil })),
		es.NewCommand("text", es.Decide("text", func(s string) counterID { return counterID(s) }, total,
			func(int, es.Call[string]) (es.Events, es.None, error) { return nil, es.None{}, nil })))
	all, err := catalog.New(domain.Catalog())
	require.NoError(t, err)
	_, err = NewServer(Options{Catalog: all})
	require.ErrorContains(t, err, `command "test.bad"`)
	require.ErrorContains(t, err, `command "test.text"`)
}
