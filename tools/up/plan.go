package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tier says when a process is stopped: apps first, while their sidecars still
// serve them; then the sidecars; then what the sidecars need.
type tier int

const (
	apps tier = iota
	sidecars
	base
)

// grace is how long a process of a tier may take to stop before it is killed.
var grace = map[tier]time.Duration{apps: 30 * time.Second, sidecars: 10 * time.Second, base: 10 * time.Second}

// spec is one process to run.
type spec struct {
	name  string
	tier  tier
	argv  []string
	env   []string
	log   string // file for its output; empty: ours
	ready string // URL that answers 2xx once it can be used
}

// plan is everything to run, and the addresses users need.
type plan struct {
	specs    []spec
	ports    *ports
	api      []string
	daprHTTP []string
	daprGRPC []string
}

// appID is the app id of every replica: one service, many instances.
const appID = "longrun"

// newPlan chooses the ports and puts the command lines together.
func newPlan(cfg config, stack string) (*plan, error) {
	set, err := readSet(cfg.components)
	if err != nil {
		return nil, err
	}
	p := &plan{ports: newPorts(cfg.freePorts)}
	if err := p.fill(cfg, set, stack); err != nil {
		p.ports.release()
		return nil, err
	}
	return p, nil
}

func (p *plan) fill(cfg config, set componentSet, stack string) error {
	b := builder{ports: p.ports}
	placement, scheduler := b.inside(50005), b.inside(50006)
	env := []string{
		"DAPR_HOST_IP=127.0.0.1",
		"APP_ID=" + appID,
		// A path with a space or a question mark must survive being part of a URI.
		"LONGRUN_SQLITE=file:" + (&url.URL{Path: filepath.Join(cfg.data, "longrun.db")}).EscapedPath() + "?_pragma=synchronous(FULL)",
	}
	logFile := func(name string) string { return filepath.Join(cfg.data, "logs", name+".log") }
	stackSpec := func(name string, t tier, health string, args ...string) {
		p.specs = append(p.specs, spec{name: name, tier: t, argv: append([]string{stack}, args...), env: env, log: logFile(name), ready: health})
	}

	if set.broker {
		port, health := b.usual(4222, "the broker", ""), b.any()
		env = append(env, "LONGRUN_NATS_URL=nats://"+loopback(port))
		stackSpec("broker", base, "http://"+loopback(health)+"/healthz", "broker",
			"--port", str(port), "--healthz-port", str(health),
			"--data", filepath.Join(cfg.data, "broker"), "--topics", cfg.topics,
			"--sync-always="+strconv.FormatBool(cfg.syncMessages))
	}
	health := b.any()
	stackSpec("placement", base, "http://"+loopback(health)+"/healthz", "placement",
		"--port", str(placement), "--listen-address", "127.0.0.1", "--healthz-port", str(health),
		"--initial-cluster", "dapr-placement-0="+loopback(b.any()),
		"--enable-metrics=false", "--log-level", cfg.logLevel)
	health = b.any()
	stackSpec("scheduler", base, "http://"+loopback(health)+"/healthz", "scheduler",
		"--port", str(scheduler), "--listen-address", "127.0.0.1", "--healthz-port", str(health),
		"--etcd-data-dir", filepath.Join(cfg.data, "scheduler"),
		"--identity-directory-write", filepath.Join(cfg.data, "scheduler-identity"),
		"--etcd-client-listen-address", "127.0.0.1", "--etcd-client-port", str(b.any()),
		"--etcd-initial-cluster", "dapr-scheduler-server-0=http://"+loopback(b.any()),
		"--etcd-initial-election-tick-advance",
		"--enable-metrics=false", "--log-level", cfg.logLevel)

	for i := range cfg.replicas {
		http, grpc := b.daprHTTP(i), b.daprGRPC(i)
		callback := b.any()
		args := []string{"sidecar", "--app-id", appID,
			"--dapr-listen-addresses", "127.0.0.1",
			"--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc),
			"--dapr-internal-grpc-listen-address", "127.0.0.1", "--dapr-internal-grpc-port", str(b.any()),
			"--metrics-listen-address", "127.0.0.1", "--metrics-port", str(b.any()),
			"--placement-host-address", loopback(placement), "--scheduler-host-address", loopback(scheduler),
			"--resources-path", cfg.components,
			"--dapr-graceful-shutdown-seconds", "3", "--log-level", cfg.logLevel}
		if cfg.daprConfig != "" {
			args = append(args, "--config", cfg.daprConfig)
		}
		if cfg.appHTTP {
			args = append(args, "--app-port", str(callback), "--app-protocol", "http")
		}
		stackSpec(fmt.Sprintf("sidecar-%d", i+1), sidecars, "http://"+loopback(http)+"/v1.0/healthz", args...)
		p.daprHTTP = append(p.daprHTTP, "http://"+loopback(http))
		p.daprGRPC = append(p.daprGRPC, loopback(grpc))
		if cfg.noApp {
			continue
		}
		listen, api := b.api(i)
		p.api = append(p.api, api)
		workflows := os.Getenv("LONGRUN_EMBEDDED_STORE") // of the embedded engine
		if workflows == "" {
			workflows = filepath.Join(cfg.data, fmt.Sprintf("workflows-%d.db", i+1))
		}
		p.specs = append(p.specs, spec{
			name: fmt.Sprintf("app-%d", i+1), tier: apps, argv: cfg.app,
			ready: api + cfg.readyPath,
			env: append(env[:len(env):len(env)],
				"LONGRUN_HTTP_ADDR="+listen, "LONGRUN_CALLBACK_ADDR="+loopback(callback), "LONGRUN_EMBEDDED_STORE="+workflows,
				"DAPR_HTTP_PORT="+str(http), "DAPR_GRPC_PORT="+str(grpc)),
		})
	}
	return b.err
}

// builder hands out ports and keeps the first error.
type builder struct {
	ports *ports
	err   error
}

func (b *builder) keep(port int, err error) int {
	if b.err == nil {
		b.err = err
	}
	return port
}

func (b *builder) any() int { return b.keep(b.ports.any()) }

func (b *builder) inside(port int) int { return b.keep(b.ports.inside(port)) }

func (b *builder) usual(port int, what, hint string) int {
	return b.keep(b.ports.usual(port, what, hint))
}

// api is where a replica listens, and the URL to reach it at. The caller's
// LONGRUN_HTTP_ADDR is the first replica's.
func (b *builder) api(replica int) (listen, url string) {
	own := os.Getenv("LONGRUN_HTTP_ADDR")
	if own == "" || replica > 0 {
		listen = loopback(b.usual(8080+replica, "the API of replica "+str(replica+1), "set LONGRUN_HTTP_ADDR, "))
		return listen, "http://" + listen
	}
	host, text, err := net.SplitHostPort(own)
	port, notPort := strconv.Atoi(text)
	if err != nil || notPort != nil {
		b.keep(0, fmt.Errorf("LONGRUN_HTTP_ADDR is %q and should be host:port", own))
		return "", ""
	}
	b.keep(b.ports.fixed(port, "LONGRUN_HTTP_ADDR"))
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return own, "http://" + net.JoinHostPort(host, text)
}

// daprHTTP is the sidecar's HTTP port, which people use with curl.
func (b *builder) daprHTTP(replica int) int {
	port := 3500 + replica
	if own := os.Getenv("LONGRUN_DAPR_HTTP_PORT"); own != "" {
		first, err := strconv.Atoi(own)
		if err != nil || first < 1 || first > 65535 {
			return b.keep(0, fmt.Errorf("LONGRUN_DAPR_HTTP_PORT is %q and should be a port", own))
		}
		if replica == 0 {
			return b.keep(b.ports.fixed(first, "LONGRUN_DAPR_HTTP_PORT"))
		}
	}
	return b.usual(port, "the sidecar's HTTP API", "set LONGRUN_DAPR_HTTP_PORT, ")
}

// daprGRPC counts from 50001 and steps over placement and scheduler.
func (b *builder) daprGRPC(replica int) int {
	if replica >= 4 {
		replica += 100
	}
	return b.usual(50001+replica, "the sidecar's gRPC API", "")
}

func str(port int) string { return strconv.Itoa(port) }

// componentSet is what up has to know of a folder of components.
type componentSet struct {
	broker bool // it wants the broker
}

var envRef = regexp.MustCompile(`(?m)^\s*envRef:\s*(\w+)`)

// readSet looks at the YAML files of a set, and checks that the environment has
// what they refer to.
func readSet(dir string) (componentSet, error) {
	var set componentSet
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return set, err
	}
	if len(files) == 0 {
		return set, fmt.Errorf("no components (*.yaml) in %s; choose a set with --components", dir)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return set, err
		}
		set.broker = set.broker || strings.Contains(string(data), "pubsub.jetstream")
		for _, m := range envRef.FindAllStringSubmatch(string(data), -1) {
			ours := m[1] == "LONGRUN_SQLITE" || m[1] == "LONGRUN_NATS_URL"
			if !ours && os.Getenv(m[1]) == "" {
				return set, fmt.Errorf("the components in %s need %s; set it and start again", dir, m[1])
			}
		}
	}
	return set, nil
}
