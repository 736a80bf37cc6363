package actors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// maxMessage is the sidecar's default limit on a message, in bytes.
const maxMessage = 4 << 20

// tokenHeader carries Dapr's tokens, in both directions.
const tokenHeader = "dapr-api-token"

// SidecarConfig says where the sidecar is and how actors are hosted. The zero
// value of every field has a default.
type SidecarConfig struct {
	// Endpoint is the sidecar's gRPC address as Dapr writes them: host:port,
	// http://host:port, https://host, dns://authority/host:port, unix:path, and
	// ?tls=true or false. Default 127.0.0.1:50001.
	Endpoint string
	Token    string // goes with every call to the sidecar; empty: none
	AppToken string // must come with every HTTP callback; empty: not checked

	// CallbackAddr is where HTTP hosting listens; a loopback address. Default
	// 127.0.0.1:8081. The sidecar is told its port with --app-port.
	CallbackAddr string

	// IdleTimeout is how long an actor may be idle before the sidecar lets go of
	// it. Default 60 minutes, as Dapr's.
	IdleTimeout time.Duration
	// DrainTimeout is how long the sidecar waits for a call in flight before it
	// moves its actor. Default 2 s, as Dapr's.
	DrainTimeout time.Duration

	CallTimeout  time.Duration // of a call whose context has no deadline; default 10 s
	StallTimeout time.Duration // how long every actor call may run out of time until actors are hosted anew; default 15 s
	StartTimeout time.Duration // how long Connect waits; default 60 s
	Log          *slog.Logger  // default slog.Default()
}

// SidecarConfigFromEnv reads what Dapr and Longrun set in the environment:
// DAPR_GRPC_ENDPOINT, else DAPR_GRPC_PORT, DAPR_API_TOKEN, APP_API_TOKEN and
// LONGRUN_CALLBACK_ADDR.
func SidecarConfigFromEnv() SidecarConfig {
	cfg := SidecarConfig{
		Endpoint:     os.Getenv("DAPR_GRPC_ENDPOINT"),
		Token:        os.Getenv("DAPR_API_TOKEN"),
		AppToken:     os.Getenv("APP_API_TOKEN"),
		CallbackAddr: os.Getenv("LONGRUN_CALLBACK_ADDR"),
	}
	if port := os.Getenv("DAPR_GRPC_PORT"); cfg.Endpoint == "" && port != "" {
		cfg.Endpoint = net.JoinHostPort("127.0.0.1", port)
	}
	return cfg
}

func (c SidecarConfig) withDefaults() SidecarConfig {
	if c.Endpoint == "" {
		c.Endpoint = "127.0.0.1:50001"
	}
	if c.CallbackAddr == "" {
		c.CallbackAddr = "127.0.0.1:8081"
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Hour
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 2 * time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 15 * time.Second
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// dial makes the connection, without waiting for the sidecar. It does not leave
// that to the SDK, whose token interceptor drops the metadata of a call (trace
// context) and whose connection waits a second or more to connect again.
func dial(cfg SidecarConfig) (*grpc.ClientConn, error) {
	target, secure, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if secure {
		transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		// The sidecar is mostly on this machine, and a restart of it is short.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// An idle connection would look like a lost sidecar.
		grpc.WithIdleTimeout(0),
	}
	if cfg.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(apiToken(cfg.Token)))
	}
	return grpc.NewClient(target, options...)
}

// apiToken goes with every call. The sidecar listens on loopback, mostly without
// TLS, so it is sent without TLS too.
type apiToken string

func (t apiToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{tokenHeader: string(t)}, nil
}

func (apiToken) RequireTransportSecurity() bool { return false }

// parseEndpoint turns an endpoint as Dapr writes them into a target of gRPC's.
func parseEndpoint(endpoint string) (target string, secure bool, err error) {
	rest, query, _ := strings.Cut(endpoint, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", false, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	for name := range values {
		if name != "tls" {
			return "", false, fmt.Errorf("endpoint %q: unknown parameter %q", endpoint, name)
		}
	}
	switch tls := values.Get("tls"); tls {
	case "true":
		secure = true
	case "", "false":
	default:
		return "", false, fmt.Errorf("endpoint %q: tls is %q and should be true or false", endpoint, tls)
	}
	switch scheme, after, found := strings.Cut(rest, "://"); {
	case rest == "" || found && after == "":
		return "", false, errors.New("the endpoint is empty")
	case !found:
		return rest, secure, nil // host:port, dns:…, unix:…: gRPC's own
	case scheme == "http":
		return withPort(after), secure, nil
	case scheme == "https":
		return withPort(after), true, nil
	case scheme == "dns", scheme == "unix":
		return rest, secure, nil
	default:
		return "", false, fmt.Errorf("endpoint %q: unknown scheme %q", endpoint, scheme)
	}
}

// withPort adds Dapr's default port to a host that has none.
func withPort(host string) string {
	host = strings.TrimSuffix(host, "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "443")
}
