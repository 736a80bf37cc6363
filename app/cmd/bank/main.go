// Command bank is the sample application: the bank, served by Longrun, with the
// import of real transactions and a guided tour over its API.
package main

import (
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
)

func main() {
	c := app.Command(bank.Domain())
	c.AddCommand(importCommand(), demoCommand())
	app.Run(c)
}
