package workflows

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// EmbeddedConfig says where the embedded engine keeps its instances: exactly one
// of SQLite and Postgres.
type EmbeddedConfig struct {
	EngineConfig

	// SQLite is the path of a file that this process alone uses.
	SQLite string
	// Postgres is a connection string, a URL or key=value, of a database or schema
	// (search_path) for the engine alone, which several processes can share. Each
	// opens up to twice Connections, default 8.
	Postgres    string
	Connections int

	// LockTimeout is how long a turn or an activity may take. After that it is
	// given to whoever asks next, in this process too: its own was lost, or died.
	// Default 5 minutes with PostgreSQL. With SQLite, where opening the file
	// releases what a dead process held, an hour.
	LockTimeout time.Duration
}

// Embedded is a workflow engine in this process. It needs no sidecar.
//
// It asks its store for work. While there is none it asks less and less often:
// after a minute without work about every 3 s, at most every 5 s.
type Embedded struct {
	*engine
	store    *store
	executor backend.Executor
	server   *grpc.Server
	conn     *grpc.ClientConn
	served   sync.WaitGroup
}

var _ Engine = (*Embedded)(nil)

// NewEmbeddedEngine opens the store, and creates what is missing in it. Close
// must be called.
func NewEmbeddedEngine(ctx context.Context, cfg EmbeddedConfig) (*Embedded, error) {
	cfg.EngineConfig = cfg.withDefaults()
	store, err := openStore(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded workflow engine: %w", err)
	}
	e := &Embedded{store: store}
	e.server = grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32))
	executor, register := backend.NewGrpcExecutor(store, troubled{chatter{cfg.Log}}, backend.WithSkipWaitForInstanceStart())
	register(e.server)
	e.executor = executor

	pipe := bufconn.Listen(1 << 20)
	e.served.Go(func() { _ = e.server.Serve(pipe) }) // ends with Stop, and has no other errors
	e.conn, err = grpc.NewClient("passthrough:embedded",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithIdleTimeout(0))
	if err != nil {
		e.server.Stop()
		e.served.Wait()
		store.close()
		return nil, fmt.Errorf("embedded workflow engine: %w", err)
	}
	e.engine = newEngine(e.conn, cfg.EngineConfig)
	return e, nil
}

// Close ends the engine. Work must have been stopped before. The library has no
// way to close its store: the file stays open until the process ends.
func (e *Embedded) Close() error {
	err := e.conn.Close()
	e.server.Stop()
	e.served.Wait()
	e.store.close()
	return err
}

// Work is Engine's. Work is taken from the store only meanwhile.
func (e *Embedded) Work(ctx context.Context, r *workflow.Registry) (stop func(context.Context) error, err error) {
	stopWorker, err := e.engine.Work(ctx, r)
	if err != nil {
		return nil, err
	}
	log := troubled{chatter{e.cfg.Log}}
	hub := backend.NewTaskHubWorker(e.store,
		backend.NewWorkflowWorker(backend.WorkflowWorkerOptions{Backend: e.store, Executor: e.executor, Logger: log},
			backend.WithMaxParallelism(int32(e.cfg.Turns))),
		backend.NewActivityTaskWorker(e.store, e.executor, log, backend.WithMaxParallelism(int32(e.cfg.Activities))),
		log)
	if err := hub.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded workflow engine: %w", err), stopWorker(ctx))
	}
	return func(ctx context.Context) error {
		// What the store gave and the worker did not take goes back to it.
		return errors.Join(stopWorker(ctx), hub.Shutdown(context.WithoutCancel(ctx)))
	}, nil
}
