package app

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
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
				require.Contains(t, []catalog.Code{catalog.Invalid, catalog.TooLarge}, fault.Code)
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

// A whole number is read exactly, in whatever way it is written, and written in
// one; what has a fraction or does not fit the Go type is refused.
func TestWholeNumbers(t *testing.T) {
	signed, unsigned := testClassifierParams(t, "above"), testParams(t, "test.everything")
	for literal, want := range map[string]string{
		"0": "0", "-0": "0", "-0.0": "0", "0.0": "0", "0e5": "0", "7": "7", "-7": "-7", "70e-1": "7", "1e2": "100", "1.5e1": "15", "123.4500e2": "12345",
		"0.00000000000000000001e20": "1", "100000000000000000000000e-20": "1000", "9223372036854775807": "9223372036854775807",
		"-9223372036854775808": "-9223372036854775808", "-92233720368547758.08e2": "-9223372036854775808",
	} {
		got, err := signed.check([]byte(`{"threshold":` + literal + `}`))
		require.NoError(t, err, literal)
		require.Equal(t, `{"threshold":`+want+`}`, string(got), literal)
	}
	for _, literal := range []string{"9223372036854775808", "18446744073709551615"} {
		got, err := unsigned.check([]byte(`{"counter":"a","big":` + literal + `}`))
		require.NoError(t, err, literal)
		require.Equal(t, `{"big":`+literal+`,"counter":"a"}`, string(got))
	}
	for _, literal := range []string{
		"1.5", "1e-1", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1e19", "1e99", "0.1e0", "12e-1", "1e30",
		"1e400", "1e401", "1e-401", "1e99999999999999999999", strings.Repeat("9", maxBody-20), "0." + strings.Repeat("0", maxBody-20) + "1",
	} {
		_, err := signed.check([]byte(`{"threshold":` + literal + `}`))
		var f *catalog.Fault
		require.ErrorAs(t, err, &f, "%.30s", literal)
		require.Equal(t, catalog.Invalid, f.Code)
		require.Equal(t, "threshold", f.Fields[0].Field, "%.30s", literal)
	}
}

func testClassifierParams(t testing.TB, classifier string) *params {
	t.Helper()
	all, err := catalog.New(testDomain().Catalog())
	require.NoError(t, err)
	p, err := classifierParams(newRegistry(), all.Classifiers["test.counter"][classifier])
	require.NoError(t, err)
	return p
}

// What is refused is said in words, and what was sent is not repeated: it can be
// long.
func TestMessages(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                                      "counter: is missing",
		`{"counter":"a","Counter":"a"}`:           "Counter: is not a field here",
		`{"counter":null}`:                        "counter: must not be null",
		`{"counter":7}`:                           "counter: expected string",
		`{"counter":"a","maybe":"x"}`:             "maybe: expected null or integer",
		`{"counter":""}`:                          "counter: must have at least 1 character, has 0",
		`{"counter":"123456789"}`:                 "counter: must have at most 8 characters, has 9",
		`{"counter":"a","small":101}`:             "small: must be at most 100",
		`{"counter":"a","small":1.5}`:             "small: expected integer",
		`{"counter":"a","small":-129}`:            "small: number -129 does not fit",
		`{"counter":"a","share":0}`:               "share: must be more than 0",
		`{"counter":"a","size":"xl"}`:             "size: value must be one of 's', 'm', 'l'",
		`{"counter":"a","day":"2026-02-30"}`:      "day: expected a valid date",
		`{"counter":"a","at":"2026-01-01"}`:       "at: expected a valid date-time",
		`{"counter":"a","list":[]}`:               "list: must have at least 1 item, has 0",
		`{"counter":"a","list":[{"name":"A"}]}`:   "list[0].name: must match ^[a-z]+$",
		`{"counter":"a","map":{"x":[1],"y":1}}`:   "map.x: expected integer",
		`{"counter":"a","any":[1e500]}`:           "any.0: has too many digits, or too large an exponent",
		`{"counter":"a","blob":"!"}`:              "blob: value is not 'base64' encoded: illegal base64 data at input byte 0",
		`{"counter":"a","big":-1,"small":"many"}`: "big: must be at least 0 (and 1 more)",
	} {
		_, err := testParams(t, "test.everything").check([]byte(body))
		require.EqualError(t, err, "invalid: "+want)
	}
}

// Small values multiply in memory. Whatever a body of the largest size holds,
// what reading and checking it costs is bounded, and so is the answer.
func TestBodiesThatGrow(t *testing.T) {
	list := func(parameter, unit string, most int) string {
		head := `{"counter":"a","` + parameter + `":[`
		units := min(most, (maxBody-len(head)-2)/len(unit))
		return head + strings.TrimSuffix(strings.Repeat(unit, units), ",") + "]}"
	}
	check := func(body string) (err error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = testParams(t, "test.everything").check([]byte(body))
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(512*maxBody), "%.40s", body)
		return err
	}
	var f *catalog.Fault
	for _, unit := range []string{"[],", "{},", "1,", `"",`, `{"":{}},`, strings.Repeat("[", 60) + strings.Repeat("]", 60) + ","} {
		require.ErrorAs(t, check(list("any", unit, maxBody)), &f, unit)
		require.Equal(t, catalog.TooLarge, f.Code, unit)
	}
	const others = 3 // the object, its key, the list
	require.NoError(t, check(list("any", "[],", maxValues-others)))
	require.ErrorAs(t, check(list("any", "[],", maxValues-others+1)), &f)
	require.Equal(t, catalog.TooLarge, f.Code)

	require.ErrorAs(t, check(list("list", "1,", maxValues-others)), &f, "wrong in every item")
	require.Len(t, f.Fields, maxFields)
	require.Contains(t, f.Detail, "more)")

	var numbers strings.Builder
	for i := range maxBody / 15 {
		fmt.Fprintf(&numbers, `,"%x":1e399`, i)
	}
	require.ErrorAs(t, check(`{"counter":"a","map":{`+numbers.String()[1:]+`}}`), &f)
	require.Equal(t, catalog.Invalid, f.Code)
	require.Less(t, len(f.Error()), 1000)
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
