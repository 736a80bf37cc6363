// Package workflows runs commands and queries durably, on a workflow engine.
package workflows

import (
	_ "github.com/dapr/durabletask-go/backend/postgres" // an engine's store, see engine_embedded.go
	_ "github.com/dapr/durabletask-go/backend/sqlite"   // the same
	_ "github.com/dapr/durabletask-go/workflow"         // what workflows are written with
)
