package actors

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// OpenCommand makes a command that runs on known until CloseCommand: who sweeps
// finds it although the process that should drive it has died. It returns when
// that is committed. Opening one that is known does nothing.
func (s *System) OpenCommand(ctx context.Context, id string) error {
	return s.registerKey(ctx, commandStream(id))
}

// CloseCommand forgets a command that has ended. It does not wait: one that is
// not forgotten is closed again by who sweeps.
func (s *System) CloseCommand(id string) {
	key := commandStream(id)
	params, err := json.Marshal(register{Shard: shardOf(key).Key, Key: key.Key})
	if err != nil {
		s.log.Error("a command that ended could not be closed", "id", id, "error", err)
		return
	}
	s.Start(context.Background(), Command{
		Name: unregisterCommand, ID: uuid.NewString(), Params: params, Context: stream.Context{Source: "longrun"},
	}, func(_ Answer, err error) {
		if err != nil {
			s.log.Debug("a command that ended was not closed yet", "id", id, "error", err)
		}
	})
}

// OpenCommands are the ids of the commands that are open, of one shard, sorted.
func (s *System) OpenCommands(ctx context.Context, shard int) ([]string, error) {
	state, err := s.Project(ctx, indexShard(commandStream("").Type, shard), keysProjection, At{Strong: true})
	var f *catalog.Fault
	if errors.As(err, &f) && f.Code == catalog.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys := keySet{}
	if err := keys.Unmarshal(state.State); err != nil {
		return nil, faultOf(err)
	}
	return slices.Sorted(maps.Keys(keys)), nil
}
