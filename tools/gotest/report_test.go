package main

import (
	"strings"
	"testing"
)

func TestSaysWhatFailedAndWhatDidNotRun(t *testing.T) {
	events := `{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestStore/redis","Output":"=== RUN   TestStore/redis\n"}
{"Action":"output","Package":"p","Test":"TestStore/redis","Output":"    store_test.go:7: Redis is not installed; what needs it did not run\n"}
{"Action":"output","Package":"p","Test":"TestStore/redis","Output":"--- SKIP: TestStore/redis (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestStore/redis"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    x_test.go:3: it broke\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"fail","Package":"p"}
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined: x\n"}
{"Action":"pass","Package":"r","Elapsed":1.25}
not an event
`
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.sum()
	for _, want := range []string{
		"x_test.go:3: it broke",
		"q.go:1: undefined: x",
		"ok    r 1.2s",
		"not an event",
		"1 tests passed, 2 failed, 1 did not run",
		"  failed: p TestBad",
		"  not run: p TestStore/redis: Redis is not installed; what needs it did not run",
		"make services",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(out.String(), "noise") {
		t.Error("it shows what a good test printed")
	}
}
