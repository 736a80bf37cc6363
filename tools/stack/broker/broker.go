// Package broker is Longrun's local message broker, NATS with JetStream in this
// process, and the pub/sub component with which a sidecar uses it.
package broker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// queues are the topics that Longrun's own handlers read. A message is kept
// until one of them has acknowledged it, however long that takes, and then
// goes away; only one durable consumer can read each.
var queues = []string{"commands", "queries", "projection-requests", "announcements"}

// logs are the topics that are read from outside. Messages stay for a week, and
// any number of consumers can read them.
var logs = []string{"notifications", "commands-dead", "queries-dead"}

const (
	// maxPayload is above the sidecar's own limit of 4 MiB, so that what the
	// sidecar takes is never refused here.
	maxPayload = 8 << 20
	logAge     = 7 * 24 * time.Hour
	logBytes   = 1 << 30
)

// Run serves JetStream until it is told to stop. Messages are on disk
// before they are acknowledged, so they outlive a killed broker.
func Run(args []string) error {
	flags := flag.NewFlagSet("broker", flag.ExitOnError)
	port := flags.Int("port", 4222, "port for clients, on loopback")
	healthPort := flags.Int("healthz-port", 4223, "port of GET /healthz, on loopback: 200 once every topic exists")
	dir := flags.String("data", ".data/broker", "folder for messages")
	more := flags.String("topics", "", "more topics to create, separated by commas")
	syncAlways := flags.Bool("sync-always", false, "flush every message to the disk itself, so that it outlives a power failure")
	if err := flags.Parse(args); err != nil {
		return err
	}

	srv, err := server.NewServer(&server.Options{
		ServerName:             "longrun",
		Host:                   "127.0.0.1",
		Port:                   *port,
		JetStream:              true,
		StoreDir:               *dir,
		SyncAlways:             *syncAlways,
		SyncInterval:           time.Second,
		MaxPayload:             maxPayload,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	srv.SetLoggerV2(serverLog{log.Default()}, false, false, false)
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(30 * time.Second) {
		return fmt.Errorf("port %d did not open within 30 s", *port)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := createTopics(ctx, srv, topicList(*more)); err != nil {
		return err
	}
	return serveHealth(ctx, *healthPort)
}

func topicList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// createTopics makes one stream per topic, which Dapr's component expects to
// find; with several topics in one stream its second subscription fails.
func createTopics(ctx context.Context, srv *server.Server, more []string) error {
	conn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	create := func(topic string, c jetstream.StreamConfig) error {
		c.Name, c.Subjects, c.Storage = strings.ReplaceAll(topic, ".", "-"), []string{topic}, jetstream.FileStorage
		if _, err := js.CreateOrUpdateStream(ctx, c); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		return nil
	}
	for _, topic := range queues {
		err = errors.Join(err, create(topic, jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}))
	}
	for _, topic := range append(logs[:len(logs):len(logs)], more...) {
		err = errors.Join(err, create(topic, jetstream.StreamConfig{MaxAge: logAge, MaxBytes: logBytes}))
	}
	return err
}

// serveHealth answers until ctx ends.
func serveHealth(ctx context.Context, port int) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	health := &http.Server{
		Addr:              loopback(port),
		Handler:           mux,
		ReadHeaderTimeout: time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- health.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		_ = health.Close()
		<-failed //nolint:errcheck // its error is that of a server that was shut down
		return nil
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// serverLog passes on what an operator should see.
type serverLog struct{ *log.Logger }

func (l serverLog) Noticef(string, ...any)         {}
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
func (l serverLog) Warnf(format string, v ...any)  { l.Printf("warning: "+format, v...) }
func (l serverLog) Errorf(format string, v ...any) { l.Printf("error: "+format, v...) }
func (l serverLog) Fatalf(format string, v ...any) { l.Logger.Fatalf(format, v...) }
