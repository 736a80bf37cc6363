// Package stock is what a shop has of each article.
package stock

import "github.com/longrun-dev/longrun/es"

// SKU is the number of an article.
type SKU string

// Received says that pieces arrived from a supplier.
type Received struct {
	Pieces int `json:"pieces"`
}

// Sold says that an order took pieces.
type Sold struct {
	Pieces int    `json:"pieces"`
	Order  string `json:"order"`
}

// EventName is stored with every event: choose it well, and keep it.
func (Received) EventName() string { return "received" }
func (Sold) EventName() string     { return "sold" }

// Article is the entity type "shop.article", with the events of its streams.
var Article = es.NewEntity[SKU]("article", es.EventOf[Received](), es.EventOf[Sold]())

// OnHand is a projection: it folds the events of one article into a number.
var OnHand = es.NewProjection(Article, "on-hand",
	es.On(func(n int, e Received) int { return n + e.Pieces }),
	es.On(func(n int, e Sold) int { return n - e.Pieces }))

// Scarce is a classifier: it judges an article by a projection.
var Scarce = es.NewClassifier("scarce", OnHand,
	func(p Fewer, n int) es.Verdict { return es.If(n < p.Than) })

// Fewer is what Scarce asks for.
type Fewer struct {
	Than int `json:"than" minimum:"1"`
}

// Delivery is what the command "receive" asks for. The tags are its schema.
type Delivery struct {
	SKU    SKU `json:"sku" minLength:"1" doc:"the article" example:"tea-50"`
	Pieces int `json:"pieces" minimum:"1" maximum:"1000000"`
}

// Sale is what the command "sell" asks for.
type Sale struct {
	SKU    SKU    `json:"sku" minLength:"1" doc:"the article" example:"tea-50"`
	Pieces int    `json:"pieces" minimum:"1" maximum:"1000000"`
	Order  string `json:"order" minLength:"1" doc:"the order that takes them"`
}

func (d Delivery) article() SKU { return d.SKU }
func (s Sale) article() SKU     { return s.SKU }

// Receive is a command: which entity, what it reads of it, and the decision.
var Receive = es.NewCommand("receive",
	es.Decide("receive", Delivery.article, OnHand, func(n int, c es.Call[Delivery]) (es.Events, int, error) {
		return es.Events{Received{c.In.Pieces}}, n + c.In.Pieces, nil
	})).
	Doc("Puts pieces into stock and answers with what is on hand.")

// Sell rejects what is not there; its result is what is left.
var Sell = es.NewCommand("sell",
	es.Decide("sell", Sale.article, OnHand, func(n int, c es.Call[Sale]) (es.Events, int, error) {
		if n < c.In.Pieces {
			return nil, 0, es.Reject("not-enough", "%d on hand, %d asked for", n, c.In.Pieces)
		}
		return es.Events{Sold{c.In.Pieces, c.In.Order}}, n - c.In.Pieces, nil
	})).
	Doc("Takes pieces for an order and answers with what is left.")

// Domain is everything together. Its faults are reported at start, all at once.
func Domain() es.Domain {
	return es.NewDomain("shop", Article, OnHand, Scarce, Receive, Sell)
}
