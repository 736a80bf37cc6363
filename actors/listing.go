package actors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Keys lists the entities of a type, shard by shard, in the order in which they
// were registered. It reads the index's streams from the store.
func (s *System) Keys(ctx context.Context, entityType, cursor string, limit int) (keys []string, next string, err error) {
	if s.catalog.Entities[entityType] == nil || entityType == indexType {
		return nil, "", catalog.Faultf(catalog.NotFound, "no entity type %q", entityType)
	}
	shard, from, err := parseKeysCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	return s.keys(ctx, entityType, shard, from, limit)
}

func (s *System) keys(ctx context.Context, entityType string, shard int, from uint64, limit int) (keys []string, next string, err error) {
	for shard < shards {
		events, more, err := s.reader.Events(ctx, indexShard(entityType, shard), from, limit-len(keys))
		if err != nil {
			return nil, "", faultOf(err)
		}
		there, err := s.existing(ctx, entityType, events)
		if err != nil {
			return nil, "", faultOf(err)
		}
		keys = append(keys, there...)
		if from = more; more == 0 {
			shard, from = shard+1, 1
		}
		if len(keys) >= limit && shard < shards {
			return keys, placeCursor(shard, from), nil
		}
	}
	return keys, "", nil
}

// existing leaves out keys that were registered and never got a stream.
func (s *System) existing(ctx context.Context, entityType string, events []stream.Recorded) ([]string, error) {
	var keys, first []string
	for _, e := range events {
		var r registered
		if err := json.Unmarshal(e.Event.Data, &r); err != nil {
			return nil, err
		}
		keys = append(keys, r.Key)
		first = append(first, stream.ID{Type: entityType, Key: r.Key}.CommitKey(1))
	}
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := s.store.Read(ctx, first)
	if err != nil {
		return nil, err
	}
	var there []string
	for i, value := range values {
		born, err := s.born(ctx, stream.ID{Type: entityType, Key: keys[i]}, value)
		if err != nil {
			return nil, err
		}
		if born {
			there = append(there, keys[i])
		}
	}
	return there, nil
}

// born says whether a stream has an event, by its first commit, nil if it has
// none. A step that was refused leaves its id in a stream, but no event: that
// does not make an entity.
func (s *System) born(ctx context.Context, id stream.ID, first []byte) (bool, error) {
	if first == nil {
		return false, nil
	}
	c, err := stream.Decode(id, 1, first)
	if err != nil || c.Events() > 0 {
		return err == nil, err
	}
	events, _, err := s.reader.Events(ctx, id, 1, 1)
	return len(events) > 0, err
}

// Progress tells of one recorded command, as of a moment if one is given.
func (s *System) Progress(ctx context.Context, command, id string, asOf *time.Time) (flow.Progress, error) {
	st, err := s.commandAt(ctx, id, asOf)
	switch {
	case err != nil && !isNotFound(err):
		return flow.Progress{}, faultOf(err)
	case err != nil || st.Progress.Command != command:
		return flow.Progress{}, catalog.Faultf(catalog.NotFound, "no command %s with id %q", command, id)
	}
	return st.Progress, nil
}

// commandAt is where a command stands: now by the word of its stream's owner,
// unless its first commit ended it, at an earlier moment by the stream itself.
func (s *System) commandAt(ctx context.Context, id string, asOf *time.Time) (*flow.State, error) {
	if asOf != nil && asOf.After(s.now()) {
		return nil, futureAsOf()
	}
	if asOf != nil {
		return s.storedCommand(ctx, id, *asOf)
	}
	if told := s.host.told(commandStream(id)); told != nil { // its owner is here: no call, and no turn to wait for
		return &flow.State{Progress: *told}, nil
	}
	values, err := s.store.Read(ctx, []string{commandStream(id).CommitKey(1)})
	if err != nil || values[0] == nil {
		return &flow.State{}, err
	}
	first, err := stream.Decode(commandStream(id), 1, values[0])
	if err != nil {
		return nil, err
	}
	if st, err := stateOf(id, &first); err != nil || st.Progress.Ended() {
		return st, err
	}
	return s.readCommand(ctx, id)
}

// readCommand is CommandState for reading only: what a newer release knows of the
// command is left out.
func (s *System) readCommand(ctx context.Context, id string) (*flow.State, error) {
	st, err := s.CommandState(ctx, id)
	var f *catalog.Fault
	if errors.As(err, &f) && f.Reason == newerRelease {
		return s.storedCommand(ctx, id, time.UnixMicro(math.MaxInt64))
	}
	return st, err
}

// storedCommand is where a command stood at a moment, by its stream.
func (s *System) storedCommand(ctx context.Context, id string, asOf time.Time) (*flow.State, error) {
	var commits []*stream.Commit
	for raw, err := range s.reader.Commits(ctx, commandStream(id), 1, 0) {
		if err != nil {
			return nil, err
		}
		if raw.At.After(asOf) {
			break
		}
		commits = append(commits, &raw.Commit)
	}
	return stateOf(id, commits...)
}

func isNotFound(err error) bool {
	var f *catalog.Fault
	return errors.As(err, &f) && f.Code == catalog.NotFound
}

func futureAsOf() *catalog.Fault {
	return &catalog.Fault{
		Code: catalog.Invalid, Detail: "asOf lies in the future",
		Fields: []catalog.Field{{Field: "asOf", Message: "lies in the future"}},
	}
}

// A cursor is opaque to callers: its parts, joined and encoded.
func encodeCursor(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "\n")))
}

func decodeCursor(cursor string, parts int) ([]string, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if split := strings.Split(string(b), "\n"); err == nil && len(split) == parts {
		return split, nil
	}
	return nil, badCursor()
}

func badCursor() *catalog.Fault {
	return &catalog.Fault{
		Code: catalog.Invalid, Detail: "cursor is not one of an earlier answer",
		Fields: []catalog.Field{{Field: "cursor", Message: "is not one of an earlier answer"}},
	}
}

func parseKeysCursor(cursor string) (shard int, from uint64, err error) {
	if cursor == "" {
		return 0, 1, nil
	}
	parts, err := decodeCursor(cursor, 2)
	if err != nil {
		return 0, 0, err
	}
	shard, err1 := strconv.Atoi(parts[0])
	from, err2 := strconv.ParseUint(parts[1], 10, 64)
	if err1 != nil || err2 != nil || shard < 0 || shard >= shards {
		return 0, 0, badCursor()
	}
	return shard, from, nil
}

func parsePlace(cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	parts, err := decodeCursor(cursor, 4)
	if err != nil {
		return place{}, err
	}
	at, err1 := strconv.ParseInt(parts[0], 10, 64)
	number, err2 := strconv.ParseUint(parts[2], 10, 64)
	row, err3 := strconv.Atoi(parts[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return place{}, badCursor()
	}
	return place{time.UnixMicro(at).UTC(), parts[1], number, row}, nil
}
