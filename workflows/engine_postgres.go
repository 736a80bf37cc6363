package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/backend/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresStore is the library's store in PostgreSQL, made fit for more than one
// process and more than one activity in a turn.
//
// The library's way to take work gives the same to two processes that ask at the
// same moment. Under repeatable read the second fails instead, because the row
// has changed; so does whatever else meets such a row, and all of it is done again.
type postgresStore struct {
	backend.Backend
	tasks *pgxpool.Pool
}

// newPostgresStore connects when the store is first used.
func newPostgresStore(ctx context.Context, cfg EmbeddedConfig, log backend.Logger) (*postgresStore, error) {
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = 5 * time.Minute
	}
	pool, err := pgxpool.ParseConfig(cfg.Postgres)
	if err != nil {
		return nil, err // it names no password
	}
	pool.MaxConns = int32(cfg.Connections)
	if cfg.Connections == 0 {
		pool.MaxConns = 8
	}
	pool.MaxConnIdleTime = time.Minute
	pool.ConnConfig.RuntimeParams["timezone"] = "UTC" // its columns have no zone, and the library writes UTC
	pool.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	tasks, err := pgxpool.NewWithConfig(ctx, pool.Copy())
	if err != nil {
		return nil, err
	}
	options := &postgres.PostgresOptions{PgOptions: pool, WorkflowLockTimeout: cfg.LockTimeout, ActivityLockTimeout: cfg.LockTimeout}
	return &postgresStore{postgres.NewPostgresBackend(options, log), tasks}, nil
}

// serializationFailure is PostgreSQL's code for a row that changed meanwhile.
const serializationFailure = "40001"

// again calls until it is not for such a row that the call fails. Nothing of a
// call that failed so was stored.
func again[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for {
		result, err := call()
		var failed *pgconn.PgError
		if !errors.As(err, &failed) || failed.Code != serializationFailure || ctx.Err() != nil {
			return result, err
		}
	}
}

func againErr(ctx context.Context, call func() error) error {
	_, err := again(ctx, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// NextWorkflowWorkItem waits for a turn to be taken.
func (s *postgresStore) NextWorkflowWorkItem(ctx context.Context) (*backend.WorkflowWorkItem, error) {
	return again(ctx, func() (*backend.WorkflowWorkItem, error) { return s.Backend.NextWorkflowWorkItem(ctx) })
}

// NextActivityWorkItem waits for an activity to be run.
func (s *postgresStore) NextActivityWorkItem(ctx context.Context) (*backend.ActivityWorkItem, error) {
	return again(ctx, func() (*backend.ActivityWorkItem, error) { return s.Backend.NextActivityWorkItem(ctx) })
}

// CreateWorkflowInstance starts an instance whose id is free.
func (s *postgresStore) CreateWorkflowInstance(ctx context.Context, e *backend.HistoryEvent) error {
	return againErr(ctx, func() error { return s.Backend.CreateWorkflowInstance(ctx, e) })
}

// PurgeWorkflowState forgets an instance that has ended.
func (s *postgresStore) PurgeWorkflowState(ctx context.Context, id api.InstanceID, router *protos.TaskRouter, force bool) (int, error) {
	return again(ctx, func() (int, error) { return s.Backend.PurgeWorkflowState(ctx, id, router, force) })
}

// CompleteActivityWorkItem stores the result of an activity.
func (s *postgresStore) CompleteActivityWorkItem(ctx context.Context, wi *backend.ActivityWorkItem) error {
	return againErr(ctx, func() error { return s.Backend.CompleteActivityWorkItem(ctx, wi) })
}

// AbandonActivityWorkItem gives an activity back.
func (s *postgresStore) AbandonActivityWorkItem(ctx context.Context, wi *backend.ActivityWorkItem) error {
	return againErr(ctx, func() error { return s.Backend.AbandonActivityWorkItem(ctx, wi) })
}

// AbandonWorkflowWorkItem gives a turn back.
func (s *postgresStore) AbandonWorkflowWorkItem(ctx context.Context, wi *backend.WorkflowWorkItem) error {
	return againErr(ctx, func() error { return s.Backend.AbandonWorkflowWorkItem(ctx, wi) })
}

// CompleteWorkflowWorkItem stores what a turn did. The library's SQL for several
// activities of one turn is wrong for PostgreSQL (durabletask-go 0.12.1 counts
// its parameters by three where there are two), so all but the first are stored
// here, before. If the turn is not stored after that, it is taken again and they
// run twice, which every activity must bear.
func (s *postgresStore) CompleteWorkflowWorkItem(ctx context.Context, wi *backend.WorkflowWorkItem) error {
	complete := func() error { return s.Backend.CompleteWorkflowWorkItem(ctx, wi) }
	all := wi.State.GetPendingTasks()
	if len(all) < 2 {
		return againErr(ctx, complete)
	}
	rows := make([][]any, 0, len(all)-1)
	for _, task := range all[1:] {
		payload, err := backend.MarshalHistoryEvent(task)
		if err != nil {
			return err
		}
		rows = append(rows, []any{string(wi.InstanceID), payload})
	}
	if _, err := s.tasks.CopyFrom(ctx, pgx.Identifier{"newtasks"}, []string{"instanceid", "eventpayload"}, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("storing activities: %w", err)
	}
	wi.State.PendingTasks = all[:1]
	defer func() { wi.State.PendingTasks = all }()
	return againErr(ctx, complete)
}
