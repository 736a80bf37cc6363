package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/longrun-dev/longrun/actors"
)

// Config is an application's settings.
type Config struct {
	HTTPAddr      string        // of the API
	CallbackAddr  string        // of what the sidecar calls; a loopback address
	ActorHosting  string        // actors.HostAuto, HostStream or HostHTTP
	ShortWay      bool          // call entities that live in this process directly
	StateStore    string        // the name of the Dapr component
	PubSub        string        // the name of the Dapr component; "" reads no topics
	Messages      int           // handled at the same time
	Engine        string        // of workflows: engineDapr or engineEmbedded
	EmbeddedStore string        // of the embedded engine: a SQLite file, or the URL of a PostgreSQL database
	SweepAfter    time.Duration // how long a command that has something to do may rest
	MaxOpen       int           // entities kept in memory
	Limits        Limits        // of the API
	ShutdownGrace time.Duration // how long requests in flight may take to end
	LogFormat     string        // "text", "json", or "auto": text on a terminal
	LogLevel      slog.Level
}

// The engines of workflows.
const (
	engineDapr     = "dapr"
	engineEmbedded = "embedded"
)

// setting is one environment variable.
type setting struct {
	name    string
	absent  string // the value if it is not set
	meaning string
	set     func(c *Config, value string) error
}

// settings is everything that can be set.
func settings() []setting {
	return []setting{
		{"LONGRUN_HTTP_ADDR", "127.0.0.1:8080", "where the API listens", func(c *Config, v string) error {
			c.HTTPAddr = v
			return checkAddr(v)
		}},
		{"LONGRUN_CALLBACK_ADDR", "127.0.0.1:8081", "where the sidecar calls back with HTTP hosting; a loopback address", func(c *Config, v string) error {
			c.CallbackAddr = v
			return errors.Join(checkAddr(v), checkLoopback(v))
		}},
		{"LONGRUN_ACTOR_HOSTING", actors.HostAuto, "how actors are hosted: auto (stream from Dapr 1.18.2, else http), stream, http", func(c *Config, v string) error {
			c.ActorHosting = v
			return oneOf(v, actors.HostAuto, actors.HostStream, actors.HostHTTP)
		}},
		{"LONGRUN_SHORT_WAY", "on", "whether an entity that lives in this process is called directly: on, off", func(c *Config, v string) error {
			c.ShortWay = v == "on"
			return oneOf(v, "on", "off")
		}},
		{"LONGRUN_STATE_STORE", "statestore", "the Dapr component that keeps the streams", func(c *Config, v string) error {
			c.StateStore = v
			return nil
		}},
		{"LONGRUN_PUBSUB", "pubsub", "the Dapr component whose topics are read and written; off", func(c *Config, v string) error {
			if c.PubSub = v; v == "off" {
				c.PubSub = ""
			}
			return nil
		}},
		{"LONGRUN_MAX_MESSAGES", strconv.Itoa(defaultMessages), "messages handled at the same time; more wait at the broker", func(c *Config, v string) error {
			return positive(v, &c.Messages)
		}},
		{"LONGRUN_WORKFLOW_ENGINE", engineDapr, "what drives commands that run on: dapr (the sidecar's workflows), embedded (in this process)", func(c *Config, v string) error {
			c.Engine = v
			return oneOf(v, engineDapr, engineEmbedded)
		}},
		{"LONGRUN_EMBEDDED_STORE", ".data/workflows.db", "of the embedded engine: a SQLite file for this process alone, or the postgres:// URL of a database for all replicas", func(c *Config, v string) error {
			c.EmbeddedStore = v
			return nil
		}},
		{"LONGRUN_SWEEP_AFTER", "45s", "how long nothing may happen to a command that has something to do, before it is driven on", func(c *Config, v string) (err error) {
			c.SweepAfter, err = time.ParseDuration(v)
			if err != nil || c.SweepAfter < time.Second {
				return errors.New("expected a duration of at least 1s, such as 45s")
			}
			return nil
		}},
		{"LONGRUN_MAX_OPEN", "20000", "entities kept in memory; the least recently used are let go", func(c *Config, v string) error {
			return positive(v, &c.MaxOpen)
		}},
		{"LONGRUN_MAX_REQUESTS", "1024", "requests answered at the same time; more are unavailable", func(c *Config, v string) error {
			return positive(v, &c.Limits.Requests)
		}},
		{"LONGRUN_MAX_STREAMS", "128", "bulks and follows at the same time; more are unavailable", func(c *Config, v string) error {
			return positive(v, &c.Limits.Streams)
		}},
		{"LONGRUN_BULK_WINDOW", "4096", "lines of one bulk that are read and not yet answered", func(c *Config, v string) error {
			return positive(v, &c.Limits.Window)
		}},
		{"LONGRUN_SHUTDOWN_GRACE", "20s", "how long requests in flight may take to end when the process is stopped", func(c *Config, v string) (err error) {
			c.ShutdownGrace, err = time.ParseDuration(v)
			if err != nil || c.ShutdownGrace < 0 {
				return errors.New("expected a duration, such as 20s")
			}
			return nil
		}},
		{"LONGRUN_LOG_FORMAT", "auto", "how the log is written: text, json, auto (text on a terminal)", func(c *Config, v string) error {
			c.LogFormat = v
			return oneOf(v, "auto", "text", "json")
		}},
		{"LONGRUN_LOG_LEVEL", "info", "what is logged: debug, info, warn, error", func(c *Config, v string) error {
			if err := oneOf(v, "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.LogLevel.UnmarshalText([]byte(v))
		}},
	}
}

// ConfigFrom reads the settings from an environment (os.Getenv). The error
// names every setting that is wrong.
func ConfigFrom(getenv func(string) string) (Config, error) {
	var c Config
	var faults []error
	for _, s := range settings() {
		value := getenv(s.name)
		if value == "" {
			value = s.absent
		}
		if err := s.set(&c, value); err != nil {
			faults = append(faults, fmt.Errorf("%s is %q: %w", s.name, value, err))
		}
	}
	return c, errors.Join(faults...)
}

// describeSettings is the part of --help about settings.
func describeSettings() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, s := range settings() {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.name, s.absent, s.meaning)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// logger writes the log to w as the settings say.
func (c Config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" || c.LogFormat == "auto" && terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("expected host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port is not a number from 0 to 65535")
	}
	return nil
}

func checkLoopback(addr string) error {
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("expected a loopback address: it runs commands without asking who calls")
	}
	return nil
}

func oneOf(value string, words ...string) error {
	if !slices.Contains(words, value) {
		return fmt.Errorf("expected one of %s", strings.Join(words, ", "))
	}
	return nil
}

func positive(value string, into *int) error {
	n, err := strconv.ParseInt(value, 10, 31)
	if err != nil || n < 1 {
		return errors.New("expected a whole number from 1")
	}
	*into = int(n)
	return nil
}
