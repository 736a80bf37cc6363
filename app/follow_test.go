package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// sseReader reads server-sent events.
type sseReader struct {
	t    testing.TB
	body *http.Response
	in   *bufio.Reader
}

func (a *api) follow(path string, headers ...string) *sseReader {
	a.t.Helper()
	ctx, cancel := context.WithCancel(a.t.Context())
	a.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+path, nil)
	require.NoError(a.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := a.Client().Do(r)
	require.NoError(a.t, err)
	require.Equal(a.t, 200, response.StatusCode)
	require.Equal(a.t, "text/event-stream", response.Header.Get("Content-Type"))
	a.t.Cleanup(func() { response.Body.Close() })
	return &sseReader{a.t, response, bufio.NewReader(response.Body)}
}

// next is the fields of the next event, io.EOF at a clean end.
func (r *sseReader) next() (map[string]string, error) {
	fields := map[string]string{}
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		if name, value, ok := strings.Cut(line, ": "); ok && name != "" {
			fields[name] = value
		}
		if line == "" && len(fields) > 0 {
			return fields, nil
		}
	}
}

func (r *sseReader) event() event {
	r.t.Helper()
	fields, err := r.next()
	require.NoError(r.t, err)
	var e event
	require.NoError(r.t, json.Unmarshal([]byte(fields["data"]), &e))
	require.Equal(r.t, fmt.Sprint(e.Sequence), fields["id"])
	return e
}

func TestFollowAnEntity(t *testing.T) {
	a := newAPI(t, nil)
	add := func() { require.Equal(t, 200, a.post("/commands/test.add", `{"counter":"a/b","by":1}`).status) }
	add()
	add()
	all := a.follow("/entities/test.counter/a%2Fb/events?follow=true")
	late := a.follow("/entities/test.counter/a%2Fb/events?follow=true&from=3")
	again := a.follow("/entities/test.counter/a%2Fb/events?follow=true", "Last-Event-ID", "1")
	for want := uint64(1); want <= 5; want++ {
		if want > 2 {
			add()
			require.Equal(t, want, late.event().Sequence)
		}
		require.Equal(t, want, all.event().Sequence)
		if want > 1 {
			require.Equal(t, want, again.event().Sequence)
		}
	}
	command := a.post("/commands/test.add", `{"counter":"c","by":1}`, "Idempotency-Key", "one")
	require.Equal(t, 200, command.status)
	require.Equal(t, "created", a.follow("/commands/test.add/one/events?follow=true").event().Name)

	a.edge.Drain()
	for _, r := range []*sseReader{late, all, again} {
		for {
			if _, err := r.next(); err != nil {
				require.ErrorIs(t, err, io.EOF, "it ends cleanly")
				break
			}
		}
	}
}

func TestFollowsAreCountedByThemselves(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Limits = Limits{Requests: 1, Streams: 1} })
	a.post("/commands/test.add", `{"counter":"c","by":1}`)
	first := a.follow("/entities/test.counter/c/events?follow=true")
	first.event()
	full := a.get("/entities/test.counter/c/events?follow=true")
	require.Equal(t, catalog.Unavailable, full.problem(t).Code)
	require.NotEmpty(t, full.header.Get("Retry-After"))
	require.Equal(t, 200, a.get("/entities/test.counter/c/events").status)
	head := a.call("HEAD", "/entities/test.counter/c/events?follow=true", "")
	require.Equal(t, 200, head.status, "a HEAD is no stream")
	require.Equal(t, "text/event-stream", head.header.Get("Content-Type"))
	require.NoError(t, first.body.Body.Close())
	require.Eventually(t, a.noStreams, waitLong, waitStep, "a client that goes makes room")
}

// broken is a runtime whose follows break.
type broken struct {
	Runtime
	err error
}

func (b broken) Follow(context.Context, stream.ID, uint64) iter.Seq2[stream.Recorded, error] {
	return func(yield func(stream.Recorded, error) bool) { yield(stream.Recorded{}, b.err) }
}

func TestFollowThatBreaks(t *testing.T) {
	a := newAPI(t, nil)
	a.post("/commands/test.add", `{"counter":"c","by":1}`)
	for code, err := range map[catalog.Code]error{
		catalog.Unavailable: catalog.Faultf(catalog.Unavailable, "the store is gone"),
		catalog.Internal:    errors.New("secret of the inside"),
	} {
		over := newAPIOver(t, testDomain(), broken{a.runtime, err}, nil)
		r := over.follow("/entities/test.counter/c/events?follow=true")
		fields, err := r.next()
		require.NoError(t, err)
		require.Equal(t, "error", fields["event"])
		require.Contains(t, fields["data"], `"code":"`+string(code)+`"`)
		require.NotContains(t, fields["data"], "secret")
		_, err = r.next()
		require.ErrorIs(t, err, io.EOF)
	}
}
