# What a user types. Everything built or downloaded goes to .cache, all data to
# .data; both can be removed at any time.

STORE    ?= sqlite
REPLICAS ?= 1
DATA     ?= .data
BIN      := .cache/bin

export CGO_ENABLED ?= 1

COMPONENTS_sqlite   := embedded
COMPONENTS_postgres := postgres
COMPONENTS_redis    := redis-env

.PHONY: help run demo import test test-unit bench services lint fmt vuln fuzz clean-data stack

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(BIN)/up app-bin ## The bank on a local stack, until Ctrl-C (REPLICAS=3 for three)
	@exec $(BIN)/up --restart --replicas $(REPLICAS) --data $(DATA) --components components/$(COMPONENTS_$(STORE)) -- $(BIN)/bank

demo: app-bin ## Opens accounts and posts commands on a running stack
	@$(BIN)/bank demo

import: app-bin ## FILE=transactions.csv: a year of a bank's transactions
	@$(BIN)/bank import $(FILE)

test: stack ## Every test, on the real stack too
	go test -race ./...

test-unit: ## The tests that need no sidecar
	go test -race $$(go list ./... | grep -v /tests)

stack: $(BIN)/up ## Builds the local stack, if it needs it
	@$(BIN)/up --build-only

clean-data: ## Forgets all data
	rm -rf $(DATA)

.PHONY: app-bin go
app-bin: go
	@go build -o $(BIN)/bank ./app/cmd/bank

$(BIN)/up: go $(wildcard tools/up/*.go)
	@go build -C tools -o ../$@ ./up

go:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl and try again."; exit 1; }
