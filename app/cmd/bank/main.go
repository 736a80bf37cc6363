package main

import (
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
)

func main() { app.Main(bank.Domain()) }
