package workflows

import (
	"context"
	"errors"
	"fmt"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// Failures lists the failed items of a batch's last round, in the order in which
// they were recorded.
func (c *Commands) Failures(ctx context.Context, command, id, cursor string, limit int) (items []flow.Item, next string, err error) {
	st, err := c.find(ctx, command, id)
	if err != nil {
		return nil, "", err
	}
	if st.Batch == nil {
		return nil, "", nil
	}
	from, skip, err := parseFailuresCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	from = max(from, st.Batch.Since+1)
	full := errors.New("the page is full")
	err = c.recordedItems(ctx, id, from, 0, func(e flow.ItemsRecorded, sequence uint64) error {
		if e.Round != st.Batch.Round {
			return nil
		}
		for i := range e.Items {
			if e.Items[i].Succeeded() || sequence == from && i < skip {
				continue
			}
			if len(items) == limit {
				next = failuresCursor(sequence, i)
				return full
			}
			items = append(items, e.Items[i])
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return nil, "", err
	}
	return items, next, nil
}

// A cursor of failures is the event and the item in it to go on with.
func failuresCursor(sequence uint64, item int) string { return fmt.Sprintf("%d.%d", sequence, item) }

func parseFailuresCursor(cursor string) (sequence uint64, item int, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	if n, err := fmt.Sscanf(cursor, "%d.%d", &sequence, &item); err != nil || n != 2 || item < 0 || failuresCursor(sequence, item) != cursor {
		return 0, 0, &catalog.Fault{
			Code: catalog.Invalid, Detail: "cursor is not one of an earlier answer",
			Fields: []catalog.Field{{Field: "cursor", Message: "is not one of an earlier answer"}},
		}
	}
	return sequence, item, nil
}
