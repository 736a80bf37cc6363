// Command shop is an application with a domain of its own.
package main

import (
	"example.com/shop/stock"
	"github.com/longrun-dev/longrun/app"
)

func main() { app.Main(stock.Domain()) }
