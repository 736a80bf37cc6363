package actors

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// httpHost hosts actors by the sidecar's HTTP callbacks. (Over h2c they measure no
// faster.)
type httpHost struct {
	cfg     SidecarConfig
	handler Handler
	topics  *httpTopics
	server  *http.Server
	cancel  context.CancelFunc // ends the watch and what is still in flight
	served  chan error         // what the server ended with
	watched chan struct{}      // closed when watch has returned
	asked   atomic.Bool        // the sidecar knows the actor types
	unused  sync.Map           // net.Conn: connections without a request so far
}

// startHTTPHost returns once something listens for the sidecar. The connection to
// the sidecar shows when it is lost; callbacks would not.
func startHTTPHost(conn *grpc.ClientConn, cfg SidecarConfig, handler Handler, topics *httpTopics) (*httpHost, error) {
	listener, err := listenLoopback(cfg.CallbackAddr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &httpHost{
		cfg: cfg, handler: handler, topics: topics, cancel: cancel,
		served: make(chan error, 1), watched: make(chan struct{}),
	}
	h.server = &http.Server{
		Handler:           h.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         h.track,
	}
	h.server.RegisterOnShutdown(h.closeUnused)
	go func() { h.served <- h.server.Serve(listener) }()
	go h.watch(ctx, conn)
	return h, nil
}

func (h *httpHost) up() bool { return h.asked.Load() }

// renew does nothing: a sidecar asks for the actor types once.
func (h *httpHost) renew() {}

func (h *httpHost) stop(ctx context.Context) error {
	err := h.server.Shutdown(ctx)
	h.cancel()
	if err != nil {
		err = errors.Join(fmt.Errorf("actor calls are still in flight: %w", err), h.server.Close())
	}
	<-h.served //nolint:errcheck // the server was shut down: http.ErrServerClosed
	<-h.watched
	return err
}

// The sidecar opens connections before it needs them. Shutdown would wait 5 s for
// a first request on each, so they are closed.
func (h *httpHost) track(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		h.unused.Store(conn, nil)
	} else {
		h.unused.Delete(conn)
	}
}

func (h *httpHost) closeUnused() {
	h.unused.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close() // it may have been closed already
		return true
	})
}

// watch tells the handler whenever the connection to the sidecar breaks, and has
// it made again.
func (h *httpHost) watch(ctx context.Context, conn *grpc.ClientConn) {
	defer close(h.watched)
	for state := conn.GetState(); conn.WaitForStateChange(ctx, state); {
		was := state
		if state = conn.GetState(); was == connectivity.Ready {
			h.cfg.Log.Warn("the sidecar was lost")
			h.handler.Lost()
		}
		if state == connectivity.Idle {
			conn.Connect()
		}
	}
}

// routes are the callbacks. All are behind the token but the probe, which older
// sidecars send without it.
func (h *httpHost) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /dapr/config", h.config)
	mux.HandleFunc("PUT /actors/{type}/{id}/method/{method}", h.invoke)
	mux.HandleFunc("DELETE /actors/{type}/{id}", h.deactivate)
	mux.HandleFunc("/actors/", http.NotFound) // reminders and timers too: there are none
	h.topics.routes(mux)
	if h.cfg.AppToken == "" {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(h.cfg.AppToken)) != 1 {
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// hostConfig is what the sidecar reads of /dapr/config.
type hostConfig struct {
	Entities                []string         `json:"entities"`
	ActorIdleTimeout        string           `json:"actorIdleTimeout"`
	DrainOngoingCallTimeout string           `json:"drainOngoingCallTimeout"`
	DrainRebalancedActors   bool             `json:"drainRebalancedActors"`
	Reentrancy              reentrancyConfig `json:"reentrancy"`
}

type reentrancyConfig struct {
	Enabled bool `json:"enabled"`
}

// config is asked by a sidecar that starts hosting: it holds no actors yet,
// whatever one before it held.
func (h *httpHost) config(w http.ResponseWriter, _ *http.Request) {
	h.handler.Lost()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(hostConfig{ // the sidecar asks again if it breaks off
		Entities:                h.handler.Types(),
		ActorIdleTimeout:        h.cfg.IdleTimeout.String(),
		DrainOngoingCallTimeout: h.cfg.DrainTimeout.String(),
		DrainRebalancedActors:   true,
	})
	h.asked.Store(true)
}

func (h *httpHost) invoke(w http.ResponseWriter, r *http.Request) {
	payload, err := readBody(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	actorType, method := r.PathValue("type"), r.PathValue("method")
	answer, err := protect(h.cfg.Log, actorType+"/"+method, func() ([]byte, error) {
		return h.handler.Invoke(r.Context(), actorType, r.PathValue("id"), method, payload)
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(answer) // a sidecar that went away fails the call itself
}

func (h *httpHost) deactivate(w http.ResponseWriter, r *http.Request) {
	_, err := protect(h.cfg.Log, r.PathValue("type")+" deactivate", func() ([]byte, error) {
		h.handler.Deactivate(r.Context(), r.PathValue("type"), r.PathValue("id"))
		return nil, nil
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// readBody reads a payload in one piece where its length is known.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body := http.MaxBytesReader(w, r.Body, maxMessage)
	if n := r.ContentLength; n >= 0 && n <= maxMessage {
		payload := make([]byte, n)
		_, err := io.ReadFull(body, payload)
		return payload, err
	}
	return io.ReadAll(body)
}

// listenLoopback listens where only this machine's processes (in a pod: its
// containers) can call. Callbacks run commands without asking who calls.
func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("callback address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("callback address %q is not a loopback address", addr)
	}
	return net.Listen("tcp", addr)
}
