// Package app is the composition root of an application: the HTTP API over the
// domains that it is given, its settings, its start and its end.
//
//	func main() { app.Main(bank.Domain()) }
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Main runs an application of these domains and never returns: the process ends
// with 0 when it was told to stop, by SIGINT or SIGTERM, and with 1 on a fault.
func Main(domains ...es.Domain) { Run(Command(domains...)) }

// Run is Main for a Command that got subcommands.
func Run(c *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	if err := c.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is the application as a command line, to which a main can add
// subcommands of its own before it gives it to Run.
func Command(domains ...es.Domain) *cobra.Command {
	c := &cobra.Command{
		Use:           "serve",
		Short:         "Serve the API and host the entities, until told to stop",
		Long:          "Serve the API and host the entities, until told to stop.\n\nSettings, in the environment:\n\n" + describeSettings(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return run(c.Context(), domains)
		},
	}
	if exe, err := os.Executable(); err == nil {
		c.Use = filepath.Base(exe)
	}
	return c
}

func run(ctx context.Context, domains []es.Domain) error {
	cfg, errConfig := ConfigFrom(os.Getenv)
	definitions := make([]*catalog.Domain, len(domains))
	for i, d := range domains {
		definitions[i] = d.Catalog()
	}
	all, errDomains := catalog.New(definitions...)
	if err := errors.Join(errConfig, errDomains); err != nil {
		return err
	}
	log := cfg.logger(os.Stderr)
	metrics := prometheus.NewRegistry()
	server, err := NewServer(Options{Catalog: all, Limits: cfg.Limits, Log: log, Metrics: metrics, Version: version()})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", cfg.HTTPAddr)
	if err != nil {
		return err
	}
	return Serve(ctx, server, l, connect(cfg, server, definitions, metrics, log), cfg.ShutdownGrace, log)
}

// version is what the build knows of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
