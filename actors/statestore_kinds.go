package actors

import (
	"github.com/longrun-dev/longrun/internal/stream"
)

// storeKind is what is known of one type of state store. FACTS on which a row
// rests are tested against that store through a real sidecar (tests/).
type storeKind struct {
	stream.Traits
	// transactions: a transaction keeps insert-if-absent for each of its keys.
	transactions bool
	// bulkAbsence: a key that a bulk read calls absent is absent. Dapr's SQL
	// components end a bulk read at the first error and answer as if it had been
	// the last row (components-contrib 1.18: BulkGet never asks rows.Err), so
	// that a broken connection makes keys vanish.
	bulkAbsence bool
	// partitioned: keys are found by their partition.
	partitioned bool
}

// storeKinds has a row for each type that is known.
var storeKinds = map[string]storeKind{
	// One writer at a time; a second one waits by polling, while the first comes
	// again.
	"state.sqlite": {
		Traits:       stream.Traits{Rollback: true, Across: true, MaxOps: 500, Writers: 1},
		transactions: true,
	},
	"state.postgresql": {
		Traits:       stream.Traits{Rollback: true, Across: true, MaxOps: 500},
		transactions: true,
	},
	// A transaction of Redis's forgets first-write for what it writes: the next
	// one would overwrite it. So its keys are inserted one by one.
	"state.redis": {
		Traits:      stream.Traits{Across: true, MaxOps: 500},
		bulkAbsence: true,
	},
	"state.in-memory": {
		Traits:       stream.Traits{Rollback: true, Across: true, MaxOps: 500},
		transactions: true,
		bulkAbsence:  true,
	},
	"state.azure.cosmosdb": {
		Traits:       stream.Traits{Rollback: true, MaxOps: 100},
		transactions: true,
		partitioned:  true,
	},
}

// kindOf is the row of a component type. Of an unknown one nothing is assumed
// but that it inserts one key if it is absent.
func kindOf(componentType string) storeKind {
	kind, known := storeKinds[componentType]
	if !known {
		kind.MaxOps = 1
	}
	kind.Name = componentType
	return kind
}

// partition is the metadata that names a partition, for stores that have them.
func (k storeKind) partition(name string) map[string]string {
	if !k.partitioned {
		return nil
	}
	return map[string]string{"partitionKey": name}
}
