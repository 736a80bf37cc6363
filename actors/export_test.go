package actors

import "github.com/longrun-dev/longrun/internal/catalog"

// PackCommands is the payload of a call with commands.
func PackCommands(commands ...Command) []byte {
	p := newPacker(0)
	p.number(uint64(len(commands)))
	for i := range commands {
		commands[i].pack(p)
	}
	return p.b
}

// UnpackFaults are the faults in the answer to such a call; nil for a success.
func UnpackFaults(answer []byte) ([]*catalog.Fault, error) {
	u := newUnpacker(answer)
	faults := make([]*catalog.Fault, u.count())
	for i := range faults {
		faults[i] = unpackReply[settled](u).Fault
	}
	return faults, u.end()
}
