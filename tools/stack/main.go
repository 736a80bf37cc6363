// Command stack is Longrun's local Dapr in one binary: the sidecar, placement,
// the scheduler and a durable broker, one subcommand each.
//
// It is one binary because linking is most of the cost of building it.
// tools/up builds it and starts it; the flags of sidecar, placement and
// scheduler are those of Dapr's own binaries.
package main

import (
	"fmt"
	"os"

	placement "github.com/dapr/dapr/cmd/placement/app"

	"github.com/longrun-dev/longrun/tools/stack/broker"
)

const usage = `usage: stack sidecar|placement|scheduler|broker [flags]`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// Dapr's mains read their flags from os.Args.
	os.Args = append([]string{os.Args[0]}, os.Args[2:]...)

	switch name {
	case "sidecar":
		runSidecar()
	case "placement":
		placement.Run()
	case "scheduler":
		runScheduler()
	case "broker":
		if err := broker.Run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "broker:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}
