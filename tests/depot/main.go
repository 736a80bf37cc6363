// Command depot is an application for tests: the bank, and beside it a depot
// whose commands have every kind of step.
package main

import (
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
)

func main() { app.Main(bank.Domain(), domain()) }
