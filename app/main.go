package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Main runs an application of these domains until it is told to stop, and exits
// the process. It is all that a main function needs.
func Main(domains ...es.Domain) { Execute(Command(domains...)) }

// Execute runs a command line and exits the process: 0 if it succeeded, else 1.
func Execute(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is the command line of an application of these domains: without a
// subcommand it serves. A main adds its own subcommands to it.
func Command(domains ...es.Domain) *cobra.Command {
	return &cobra.Command{
		Use:           "app",
		Short:         "Serve the application on the Dapr sidecar of this process",
		Long:          "Serve the application on the Dapr sidecar of this process.\n\nSettings, from the environment:\n" + describeSettings(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := ConfigFrom(os.Getenv)
			if err != nil {
				return err
			}
			return run(cmd.Context(), cfg, domains)
		},
	}
}

// run serves until ctx ends.
func run(ctx context.Context, cfg Config, domains []es.Domain) error {
	log := cfg.logger(os.Stderr)
	definitions := make([]*catalog.Domain, len(domains))
	for i, d := range domains {
		definitions[i] = d.Catalog()
	}
	all, err := catalog.New(definitions...)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	server, err := NewServer(Options{Catalog: all, Limits: cfg.Limits, Log: log, Metrics: registry, Version: version()})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.HTTPAddr)
	if err != nil {
		return fmt.Errorf("LONGRUN_HTTP_ADDR: %w", err)
	}
	connect := func(ctx context.Context) (Runtime, func(context.Context) error, error) {
		sidecarConfig := actors.SidecarConfigFromEnv()
		sidecarConfig.CallbackAddr, sidecarConfig.Log = cfg.CallbackAddr, log
		sidecar, err := actors.Connect(ctx, sidecarConfig)
		if err != nil {
			return nil, nil, err
		}
		store, err := actors.NewStateStore(ctx, sidecar, cfg.StateStore)
		if err != nil {
			return nil, nil, errors.Join(err, sidecar.Close())
		}
		system, err := actors.New(definitions, store, sidecar, actors.Config{
			Log: log, Metrics: registry, ShortWay: cfg.ShortWay, MaxOpen: cfg.MaxOpen,
		})
		if err != nil {
			return nil, nil, errors.Join(err, sidecar.Close())
		}
		unhost, err := sidecar.Host(ctx, cfg.ActorHosting, system)
		if err != nil {
			system.Close()
			return nil, nil, errors.Join(err, sidecar.Close())
		}
		stop := func(ctx context.Context) error {
			err := unhost(ctx)
			system.Close()
			return errors.Join(err, sidecar.Close())
		}
		if err := system.Begin(ctx); err != nil {
			return nil, nil, errors.Join(err, stop(context.WithoutCancel(ctx)))
		}
		return &onSidecar{system, sidecar}, stop, nil
	}
	return Serve(ctx, server, listener, connect, cfg.ShutdownGrace, log)
}

// onSidecar is a system on its sidecar.
type onSidecar struct {
	*actors.System
	sidecar *actors.Sidecar
}

// Ready also asks the sidecar.
func (h *onSidecar) Ready(ctx context.Context) error {
	if err := h.sidecar.Healthy(ctx); err != nil {
		return catalog.Faultf(catalog.Unavailable, "%v", err)
	}
	return h.System.Ready(ctx)
}

// version is that of the main module, as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
