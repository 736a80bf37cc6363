package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tap stands between an application and its sidecar, and counts the calls to
// the state store as they go over the wire: whatever the code above believes
// that it asks for, this is what it costs.
type tap struct {
	calls    atomic.Int64
	sidecar  string
	listener net.Listener
	group    sync.WaitGroup
}

// newTap listens for an application.
func newTap(sidecar string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{sidecar: sidecar, listener: l}
	t.group.Go(t.accept)
	return t, nil
}

func (t *tap) addr() string { return t.listener.Addr().String() }

// close waits for the connections to end: the application closes its own first.
func (t *tap) close() error {
	err := t.listener.Close()
	t.group.Wait()
	return err
}

func (t *tap) accept() {
	for {
		app, err := t.listener.Accept()
		if err != nil {
			return // closed
		}
		sidecar, err := net.Dial("tcp", t.sidecar)
		if err != nil {
			app.Close() // it will see that the connection is lost
			continue
		}
		t.forward(app, sidecar)
	}
}

// forward copies both ways. What the application sends is looked at, too.
func (t *tap) forward(app, sidecar net.Conn) {
	seen, look := io.Pipe()
	t.group.Go(func() {
		_, err := io.Copy(sidecar, io.TeeReader(app, look))
		look.CloseWithError(errors.Join(err, io.EOF))
		sidecar.Close()
	})
	t.group.Go(func() {
		_, _ = io.Copy(app, sidecar) // the application hears of its end
		app.Close()
	})
	t.group.Go(func() { t.count(seen) })
}

// count reads the frames of one connection until its end. A call is a block of
// headers that names a method.
func (t *tap) count(r *io.PipeReader) {
	defer func() { _, _ = io.Copy(io.Discard, r) }() // never hold up the connection
	if _, err := io.CopyN(io.Discard, r, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(io.Discard, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok && strings.Contains(headers.PseudoValue("path"), "State") {
			t.calls.Add(1)
		}
	}
}
