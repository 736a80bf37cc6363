package actors

import (
	"context"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
)

func TestParseEndpoint(t *testing.T) {
	for endpoint, want := range map[string]struct {
		target string
		secure bool
	}{
		"127.0.0.1:50001":                  {"127.0.0.1:50001", false},
		"host:1?tls=true":                  {"host:1", true},
		"host:1?tls=false":                 {"host:1", false},
		"http://host:1":                    {"host:1", false},
		"http://host":                      {"host:443", false},
		"https://host":                     {"host:443", true},
		"https://host:1/":                  {"host:1", true},
		"https://[::1]":                    {"[::1]:443", true},
		"dns://1.1.1.1:53/host:1":          {"dns://1.1.1.1:53/host:1", false},
		"dns:host:1":                       {"dns:host:1", false},
		"unix:///run/dapr-app-grpc.socket": {"unix:///run/dapr-app-grpc.socket", false},
		"unix:run/dapr-app-grpc.socket":    {"unix:run/dapr-app-grpc.socket", false},
		"dns://1.1.1.1:53/host:1?tls=true": {"dns://1.1.1.1:53/host:1", true},
	} {
		target, secure, err := parseEndpoint(endpoint)
		require.NoError(t, err, endpoint)
		require.Equal(t, want.target, target, endpoint)
		require.Equal(t, want.secure, secure, endpoint)
	}
	for _, endpoint := range []string{"", "?tls=true", "http://", "ftp://host", "host:1?tls=maybe", "host:1?other=1", "host:1?%"} {
		_, _, err := parseEndpoint(endpoint)
		require.Error(t, err, endpoint)
	}
}

func TestChooseHosting(t *testing.T) {
	for version, want := range map[string]string{
		"1.18.2": HostStream, "1.18.10": HostStream, "1.19.0": HostStream, "2.0.0": HostStream, "v1.18.3": HostStream, "edge": HostStream,
		"1.18.1": HostHTTP, "1.18.2-rc.1": HostHTTP, "1.9.9": HostHTTP, "1.16.2": HostHTTP, "": HostHTTP, "what": HostHTTP,
	} {
		require.Equal(t, want, chooseHosting(&pb.GetMetadataResponse{RuntimeVersion: version}), version)
	}
	for protocol, want := range map[string]string{"http": HostHTTP, "h2c": HostHTTP, "https": HostHTTP, "grpc": HostStream} {
		meta := &pb.GetMetadataResponse{
			RuntimeVersion:          "1.18.3",
			AppConnectionProperties: &pb.AppConnectionProperties{Port: 8081, Protocol: protocol},
		}
		require.Equal(t, want, chooseHosting(meta), "with an app port and protocol %s", protocol)
	}
}

func TestHostRefusesUnknownMode(t *testing.T) {
	_, sidecar := fakeSidecar(t)
	_, err := sidecar.Host(t.Context(), "carrier-pigeon", &fakeHandler{})
	require.ErrorContains(t, err, "carrier-pigeon")
}

// The error of a sidecar that is not there says where it was looked for, and why
// it failed.
func TestConnectWithoutSidecar(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := Connect(ctx, SidecarConfig{Endpoint: "127.0.0.1:1", StartTimeout: 300 * time.Millisecond})
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.ErrorContains(t, err, "connection refused")
}

func TestGate(t *testing.T) {
	var g gate
	require.True(t, g.enter())
	require.True(t, g.enter())
	idle := g.close()
	require.False(t, g.enter(), "closed")
	g.leave()
	select {
	case <-idle:
		require.Fail(t, "one is still in flight")
	default:
	}
	g.leave()
	<-idle
	require.Equal(t, idle, g.close())
}
