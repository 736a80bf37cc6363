package workflows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/backend/sqlite"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// store makes one of the library's stores answer as a sidecar does: an id that
// has ended can be started anew, and that an instance is active is a code.
type store struct {
	backend.Backend
	close func()
}

// openStore opens the store that cfg names.
func openStore(ctx context.Context, cfg EmbeddedConfig) (*store, error) {
	log := troubled{chatter{cfg.Log}}
	switch {
	case (cfg.SQLite == "") == (cfg.Postgres == ""):
		return nil, errors.New("either a SQLite file or a PostgreSQL database must be named")
	case cfg.SQLite != "":
		if cfg.LockTimeout == 0 {
			cfg.LockTimeout = time.Hour
		}
		source, err := prepareSQLite(ctx, cfg.SQLite)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.SQLite, err)
		}
		options := sqlite.NewSqliteOptions(source)
		options.WorkflowLockTimeout, options.ActivityLockTimeout = cfg.LockTimeout, cfg.LockTimeout
		s := &store{Backend: sqlite.NewSqliteBackend(options, log), close: func() {}}
		err = s.create(ctx)
		return s, err
	default:
		if cfg.LockTimeout == 0 {
			cfg.LockTimeout = 5 * time.Minute
		}
		db, err := newPostgresStore(ctx, cfg, log)
		if err != nil {
			return nil, err
		}
		s := &store{Backend: db, close: db.tasks.Close}
		err = s.create(ctx)
		return s, err
	}
}

// prepareSQLite returns the data source of a file, in which every commit is on
// disk before it is answered. What a process that died was working on is free at
// once, and not only when its locks run out.
func prepareSQLite(ctx context.Context, path string) (source string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	// A path with a space or a question mark must survive being part of a URI.
	source = "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(30000)&_txlock=immediate"
	db, err := sql.Open("sqlite", source) // the library's driver
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name IN ('Instances', 'NewTasks')").Scan(&tables)
	if err != nil || tables < 2 {
		return source, err
	}
	for _, table := range []string{"Instances", "NewTasks"} {
		if _, err := db.ExecContext(ctx, "UPDATE "+table+" SET LockedBy = NULL, LockExpiration = NULL WHERE LockExpiration IS NOT NULL"); err != nil {
			return "", err
		}
	}
	return source, nil
}

// create opens the library's store and creates its tables. The library panics
// where it fails, and does where two processes create them at the same time.
func (s *store) create(ctx context.Context) error {
	_, err := backoff.Retry(ctx, func() (none struct{}, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("creating the tables: %v", p)
			}
		}()
		return none, s.Backend.CreateTaskHub(ctx)
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxTries(4))
	return err
}

// CreateTaskHub is called whenever work begins; create has done it.
func (s *store) CreateTaskHub(context.Context) error { return backend.ErrTaskHubExists }

// CreateWorkflowInstance starts an instance, over one that has ended.
func (s *store) CreateWorkflowInstance(ctx context.Context, e *backend.HistoryEvent) error {
	err := s.Backend.CreateWorkflowInstance(ctx, e)
	if !errors.Is(err, api.ErrDuplicateInstance) {
		return err
	}
	id := e.GetExecutionStarted().GetWorkflowInstance().GetInstanceId()
	_, err = s.Backend.PurgeWorkflowState(ctx, api.InstanceID(id), nil, false)
	if err == nil || errors.Is(err, api.ErrInstanceNotFound) {
		err = s.Backend.CreateWorkflowInstance(ctx, e)
	}
	if errors.Is(err, api.ErrNotCompleted) || errors.Is(err, api.ErrDuplicateInstance) {
		return status.Errorf(codes.AlreadyExists, "an active workflow with ID '%s' already exists", id)
	}
	return err
}
