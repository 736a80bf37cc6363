package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"golang.org/x/mod/semver"
)

// The ways of hosting actors.
const (
	HostAuto   = "auto"   // the stream where it can be used, else HTTP
	HostStream = "stream" // over the actor event stream
	HostHTTP   = "http"   // by HTTP callbacks
)

// streamSince is the first version whose actor event stream needs no app port
// and times its calls right.
const streamSince = "v1.18.2"

// hosting is one way of hosting while it runs.
type hosting interface {
	// up says whether calls can arrive.
	up() bool
	// renew gives the actors up and takes them again, where that can be done.
	renew()
	// stop lets no new call in, waits for those in flight to be answered, and
	// ends hosting. When ctx ends it stops at once and returns its error.
	stop(ctx context.Context) error
}

// Host makes this process a host of the handler's actor types and a reader of
// topics, and returns once the sidecar knows the types (stream) or can find them
// out (HTTP: a sidecar with an app port asks as soon as something listens there).
// From then on the handlers are called, until stop has returned; stopping again
// does nothing. A process hosts once at a time.
//
// A topic that cannot be read, because its broker is down, is tried for ever and
// keeps nothing else from working. Stopping ends the topics first, while the
// actors are still there: no new message is handled, those that are being handled
// end and are acknowledged, and every other one comes again, to whoever reads the
// topic next.
//
// A sidecar that was started with an HTTP app port cannot host over the stream:
// mode auto uses HTTP with it, mode stream is an error.
func (s *Sidecar) Host(ctx context.Context, mode string, handler Handler, topics ...Topic) (stop func(context.Context) error, err error) {
	if err := checkTopics(topics); err != nil {
		return nil, err
	}
	if mode == HostAuto {
		meta, err := s.metadata(ctx)
		if err != nil {
			return nil, err
		}
		mode = chooseHosting(meta)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host != nil {
		return nil, errors.New("actors are hosted already")
	}
	var stopTopics func(context.Context) error
	switch mode {
	case HostStream:
		if s.host, err = startStreamHost(ctx, s.conn, s.cfg, handler); err == nil {
			stopTopics = startStreamTopics(s.conn, s.cfg, topics).stop
		}
	case HostHTTP:
		read := newHTTPTopics(s.cfg, topics)
		s.host, err = startHTTPHost(s.conn, s.cfg, handler, read)
		stopTopics = read.stop
	default:
		return nil, fmt.Errorf("actor hosting is %q and should be %s, %s or %s", mode, HostAuto, HostStream, HostHTTP)
	}
	if err != nil {
		s.host = nil
		return nil, fmt.Errorf("hosting actors (%s): %w", mode, err)
	}
	host := s.host
	s.cfg.Log.Info("hosting actors", "mode", mode, "types", handler.Types())
	var once sync.Once
	return func(ctx context.Context) error {
		once.Do(func() {
			err = errors.Join(stopTopics(ctx), host.stop(ctx))
			s.mu.Lock()
			defer s.mu.Unlock()
			s.host = nil
		})
		return err
	}, nil
}

// chooseHosting is what auto means for this sidecar.
func chooseHosting(meta *pb.GetMetadataResponse) string {
	app := meta.GetAppConnectionProperties()
	if app.GetPort() != 0 && !strings.HasPrefix(app.GetProtocol(), "grpc") {
		return HostHTTP
	}
	switch version := meta.GetRuntimeVersion(); {
	case version == "edge": // built without a version, from newer sources
		return HostStream
	case semver.Compare("v"+strings.TrimPrefix(version, "v"), streamSince) >= 0:
		return HostStream
	default:
		return HostHTTP
	}
}
