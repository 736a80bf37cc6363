package main

// rows is the table.
var rows = []row{
	{"core.direct.unrecorded", "commands/s", higher, goals{"postgres": 2.2, "sqlite": 4}, direct(1000, addUnrecorded, false)},
	{"core.direct.recorded", "commands/s", higher, goals{"postgres": 1.6, "sqlite": 3}, direct(1000, addRecorded, false)},
	{"core.hot-entity.unrecorded", "commands/s", higher, onAll(8), direct(1, addUnrecorded, false)},
	{"core.hot-entity.recorded", "commands/s", higher, onAll(8), direct(1, addRecorded, false)},
	{"core.direct.unrecorded.short-way", "commands/s", higher, goals{"postgres": 4, "sqlite": 6}, direct(1000, addUnrecorded, true)},
	{"core.direct.recorded.short-way", "commands/s", higher, goals{"postgres": 2.5, "sqlite": 4}, direct(1000, addRecorded, true)},
	{"core.hot-entity.unrecorded.short-way", "commands/s", higher, onAll(8), direct(1, addUnrecorded, true)},
	{"core.hot-entity.recorded.short-way", "commands/s", higher, onAll(8), direct(1, addRecorded, true)},
}
