package main

// rows is the table. Rows that need the same mode of hosting stand together:
// hosting anew takes a moment. The goal for a hot entity is for unrecorded
// commands; a recorded one writes a key more for each, whatever is coalesced.
var rows = []row{
	// Many entities and a hot one, through the sidecar.
	{"core.direct.unrecorded", "commands/s", higher, goals{"postgres": 2.2, "sqlite": 4}, direct(1000, addUnrecorded, false)},
	{"core.direct.recorded", "commands/s", higher, goals{"postgres": 1.6, "sqlite": 3}, direct(1000, addRecorded, false)},
	{"core.hot-entity.unrecorded", "commands/s", higher, onAll(8), direct(1, addUnrecorded, false)},
	{"core.hot-entity.recorded", "commands/s", higher, nil, direct(1, addRecorded, false)},
	{"core.append.large", "events/s", higher, goals{"postgres": 40_000}, largeAppends},
	{"core.append.long-stream", "ms", lower, onAll(1.2), longStream},
	{"core.projection.warm", "reads/s", higher, onAll(0.8), warmReads},

	// The same with the short way.
	{"core.direct.unrecorded.short-way", "commands/s", higher, goals{"postgres": 4, "sqlite": 6}, direct(1000, addUnrecorded, true)},
	{"core.direct.recorded.short-way", "commands/s", higher, goals{"postgres": 2.5, "sqlite": 4}, direct(1000, addRecorded, true)},
	{"core.hot-entity.unrecorded.short-way", "commands/s", higher, onAll(8), direct(1, addUnrecorded, true)},
	{"core.hot-entity.recorded.short-way", "commands/s", higher, nil, direct(1, addRecorded, true)},
	{"core.latency.p50", "ms", lower, nil, latency(0.5)},
	{"core.latency.p99", "ms", lower, nil, latency(0.99)},

	// Commands that run on, beside bare Dapr workflows.
	{"commands.three-step.alone", "ms", lower, onAll(1.25), threeStepAlone},
	{"commands.three-step.parallel", "commands/s", higher, onAll(0.8), threeStepParallel},
	{"commands.batch.direct", "items/s", higher, onAll(10), batchOfDirect},
	{"commands.batch.multi-step", "items/s", higher, onAll(1), batchOfMultiStep},

	// Without hosting.
	{"core.open.snapshot", "store calls", lower, onAll(4), openCold(true)},
	{"core.open.no-snapshot", "store calls", lower, onAll(25), openCold(false)},
	{"core.fold.decoded", "events/s", higher, onAll(1_000_000), foldDecoded},
	{"core.fold.stored", "events/s", higher, onAll(300_000), foldStored(1)},
	{"core.fold.stored.coalesced", "events/s", higher, nil, foldStored(100)},
	{"core.memory.open", "MiB", lower, onAll(1024), openMemory},
	{"core.memory.default-limit", "open entities", lower, onAll(20_000), openByDefault},

	// The bank as users run it.
	{"core.start", "s", lower, nil, startTime},
	{"core.import", "s", lower, goals{"sqlite": 20}, importYear},
	{"commands.batch.direct.100k", "s", lower, onAll(13), hundredThousand},
	{"commands.batch.direct.100k.trend", "ms/item", lower, onAll(1.25), trend},
	{"commands.batch.direct.100k.memory", "MiB", lower, onAll(300), nightMemory},
	{"commands.progress", "ms", lower, onAll(20), progressTime},
}
