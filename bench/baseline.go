package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/types/known/anypb"
)

// The baseline's actor type and its methods.
const (
	baselineType = "benchBaseline"
	methodAdd    = "add"   // the parameters of add in, the total out
	methodEmpty  = "empty" // nothing in, nothing out
)

// baseline is what one writes by hand on Dapr: an actor whose method writes a
// head and an event, two keys in one actor-state transaction. It reads its head
// from the actor state once and then has it in memory. It relies on Dapr for
// one call at a time for each actor, as one does by hand.
type baseline struct {
	api   pb.DaprClient
	heads sync.Map // *baselineHead by actor id
}

type baselineHead struct {
	Sequence uint64 `json:"sequence"`
	Total    int    `json:"total"`
}

func (b *baseline) invoke(ctx context.Context, actorID, method string, payload []byte) ([]byte, error) {
	switch method {
	case methodEmpty:
		return nil, nil
	case methodAdd:
		return b.add(ctx, actorID, payload)
	}
	return nil, fmt.Errorf("the baseline has no method %q", method)
}

func (b *baseline) add(ctx context.Context, actorID string, payload []byte) ([]byte, error) {
	var params add
	if err := json.Unmarshal(payload, &params); err != nil {
		return nil, err
	}
	head, err := b.head(ctx, actorID)
	if err != nil {
		return nil, err
	}
	next := baselineHead{head.Sequence + 1, head.Total + params.By}
	headData, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	eventData, err := json.Marshal(added{params.By})
	if err != nil {
		return nil, err
	}
	_, err = b.api.ExecuteActorStateTransaction(ctx, &pb.ExecuteActorStateTransactionRequest{
		ActorType: baselineType,
		ActorId:   actorID,
		Operations: []*pb.TransactionalActorStateOperation{
			{OperationType: "upsert", Key: "head", Value: &anypb.Any{Value: headData}},
			{OperationType: "upsert", Key: "event-" + strconv.FormatUint(next.Sequence, 10), Value: &anypb.Any{Value: eventData}},
		},
	})
	if err != nil {
		b.heads.Delete(actorID) // whether it was written is unknown
		return nil, err
	}
	b.heads.Store(actorID, &next)
	return strconv.AppendInt(nil, int64(next.Total), 10), nil
}

func (b *baseline) head(ctx context.Context, actorID string) (*baselineHead, error) {
	if head, there := b.heads.Load(actorID); there {
		return head.(*baselineHead), nil
	}
	answer, err := b.api.GetActorState(ctx, &pb.GetActorStateRequest{ActorType: baselineType, ActorId: actorID, Key: "head"})
	if err != nil {
		return nil, err
	}
	head := &baselineHead{}
	if len(answer.GetData()) == 0 {
		return head, nil
	}
	return head, json.Unmarshal(answer.GetData(), head)
}
