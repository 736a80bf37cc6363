package stock_test

import (
	"testing"

	"example.com/shop/stock"
	"github.com/longrun-dev/longrun/es/estest"
)

func TestSell(t *testing.T) {
	tea := estest.For(t, stock.Domain(), stock.Article, "tea-50").Given(stock.Received{Pieces: 5})

	tea.When(estest.Do(stock.Sell, stock.Sale{SKU: "tea-50", Pieces: 6, Order: "o-1"})).
		Rejected("not-enough")
	tea.When(estest.Do(stock.Sell, stock.Sale{SKU: "tea-50", Pieces: 3, Order: "o-2"})).
		Then(stock.Sold{Pieces: 3, Order: "o-2"}).
		Result(2)

	estest.Projection(tea, stock.OnHand).Is(2)
}
