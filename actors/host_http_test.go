package actors

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// The HTTP callbacks, as a sidecar asks for them.
func TestHTTPCallbacks(t *testing.T) {
	handler := &fakeHandler{}
	cfg := SidecarConfig{AppToken: "secret"}.withDefaults()
	host := &httpHost{handler: handler, cfg: cfg, topics: newHTTPTopics(cfg, []Topic{{
		PubSub: "pubsub", Name: "a/b", Handle: func(_ context.Context, m Message) error {
			if string(m.Data) != "payload" {
				return errors.New("not the payload")
			}
			return nil
		},
	}})}
	ask := func(method, path, token string, body []byte) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set(tokenHeader, token)
		w := httptest.NewRecorder()
		host.routes().ServeHTTP(w, r)
		return w
	}
	const invoke = "/actors/fake/a-_2f.x/method/"
	for _, c := range []struct {
		method, path, token string
		status              int
		answer              string
	}{
		{"PUT", invoke + "m", "secret", 200, "answer"},
		{"PUT", invoke + "m", "wrong", 401, ""},
		{"PUT", invoke + "m", "", 401, ""},
		{"PUT", invoke + "fail", "secret", 500, "on purpose\n"},
		{"PUT", invoke + "panic", "secret", 500, "fake/panic: panic: on purpose\n"},
		{"PUT", invoke + "remind/r", "secret", 404, ""},
		{"PUT", invoke + "timer/t", "secret", 404, ""},
		{"DELETE", "/actors/fake/a", "secret", 200, ""},
		{"DELETE", "/actors/fake/a", "", 401, ""},
		{"GET", "/dapr/config", "", 401, ""},
		{"GET", "/healthz", "", 200, ""},
		{"GET", "/dapr/subscribe", "", 401, ""},
		{"GET", "/dapr/subscribe", "secret", 200, `[{"pubsubname":"pubsub","topic":"a/b","route":"/topics/pubsub/a%2Fb","metadata":{"rawPayload":"true"}}]` + "\n"},
		{"POST", "/topics/pubsub/a%2Fb", "secret", 200, ""},
		{"POST", "/topics/pubsub/a%2Fb", "", 401, ""},
		{"POST", "/topics/pubsub/other", "secret", 503, ""},
		{"POST", "/topics/more/than/that", "secret", 503, ""},
	} {
		w := ask(c.method, c.path, c.token, []byte("payload"))
		require.Equal(t, c.status, w.Code, "%s %s", c.method, c.path)
		if c.answer != "" {
			require.Equal(t, c.answer, w.Body.String(), "%s %s", c.method, c.path)
		}
	}
	require.Equal(t, http.StatusBadRequest, ask("PUT", invoke+"m", "secret", make([]byte, maxMessage+1)).Code)

	require.JSONEq(t, `{"status": "RETRY"}`, ask("POST", "/topics/pubsub/a%2Fb", "secret", []byte("other")).Body.String())

	require.False(t, host.up())
	require.Zero(t, handler.lost.Load())
	w := ask("GET", "/dapr/config", "secret", nil)
	require.JSONEq(t, `{"entities": ["fake"], "actorIdleTimeout": "1h0m0s", "drainOngoingCallTimeout": "2s",
		"drainRebalancedActors": true, "reentrancy": {"enabled": false}}`, w.Body.String())
	require.True(t, host.up())
	require.EqualValues(t, 1, handler.lost.Load(), "a sidecar that asks holds no actors yet")
}

// Callbacks run commands for whoever calls, so nobody else's machine can.
func TestListenLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		_, err := listenLoopback(addr)
		require.Error(t, err, addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.0.0.2:0"} {
		l, err := listenLoopback(addr)
		require.NoError(t, err, addr)
		require.NoError(t, l.Close())
	}
}
