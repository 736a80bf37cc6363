# What a user types. Everything built or downloaded goes to .cache, all data to
# .data; both can be removed at any time. DATA, STORE, REPLICAS and UP (flags of
# tools/up) can be given:
#
#	make run REPLICAS=3 STORE=postgres DATA=/tmp/other UP=--free-ports

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

STORE    ?= sqlite
REPLICAS ?= 1
DATA     ?= .data
FUZZTIME ?= 10s
ROUNDS   ?= 100
BIN      := .cache/bin

COMPONENTS_sqlite   := embedded
COMPONENTS_postgres := postgres
COMPONENTS_redis    := redis-env

MODULES := . tools examples/shop

.PHONY: help
help: ## Says what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: run demo import clean-data
run: app $(BIN)/up ## The bank on a local stack, until Ctrl-C (REPLICAS=3 for three)
	@exec $(BIN)/up --restart --replicas $(REPLICAS) --data $(DATA) $(UP) \
		--components components/$(or $(COMPONENTS_$(STORE)),$(error STORE is $(STORE) and should be sqlite, postgres or redis)) -- $(BIN)/bank

demo: app ## Opens accounts and posts commands on a running stack
	@$(BIN)/bank demo

import: app ## FILE=transactions.csv: the transactions of a bank, on a running stack
	@$(BIN)/bank import $(or $(FILE),$(error name a file: make import FILE=transactions.csv))

clean-data: ## Forgets all data
	@if [ ! -e $(DATA) ]; then echo "$(DATA): nothing to forget"; \
	elif [ ! -e $(DATA)/up.lock ]; then echo "$(DATA) is not a data folder of make run; it stays." >&2; exit 1; \
	elif command -v flock >/dev/null && ! flock -n $(DATA)/up.lock true; then echo "$(DATA) is in use: stop make run first." >&2; exit 1; \
	else rm -rf $(DATA); fi

.PHONY: test test-unit faults fuzz services
test: stack $(BIN)/gotest ## Every test, on the real stack too
	@$(BIN)/gotest -timeout 20m ./...
	@$(BIN)/gotest -C tools $$(go list -C tools -f '{{if .TestGoFiles}}{{.ImportPath}}{{end}}' ./...) # the rest is all of Dapr
	@$(BIN)/gotest -C examples/shop -skip TestAPI ./... # which .ci/own-domain runs

test-unit: $(BIN)/gotest ## The tests that need no sidecar
	@$(BIN)/gotest $$(go list ./... | grep -v -e /tests$$ -e /tests/ -e /bench)

faults: stack ## Breaks banks under load, each ROUNDS=100 times (STORE=postgres, SEED=number)
	@LONGRUN_FAULT_ROUNDS=$(ROUNDS) LONGRUN_FAULT_STORE=$(STORE) LONGRUN_FAULT_SEED=$(SEED) \
		go test -count 1 -timeout 0 -v -run '^Test(Running)?Faults$$' ./tests

fuzz: go ## Fuzzes every decoder for FUZZTIME=10s
	@tools/fuzz.sh $(FUZZTIME)

services: ## Installs what some tests run against: PostgreSQL, Redis (Debian)
	@tools/services.sh

.PHONY: bench
bench: app stack ## Longrun beside the plain way on Dapr (STORE=postgres, BENCH=pattern)
	@tools/build.sh $(BIN)/bench . ./bench
	@exec $(BIN)/bench -store $(STORE) -rows '$(BENCH)' -app $(BIN)/bank -out $(DATA)/bench.json

.PHONY: lint vuln tidy
lint: $(BIN)/golangci-lint ## Style, mistakes, and who may import whom
	@for module in $(MODULES); do \
		(cd $$module && go mod tidy -diff && GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/golangci-lint $(CURDIR)/$(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); \
	done

vuln: $(BIN)/govulncheck ## Known faults in what we import, where the network allows it
	@.ci/vuln/run $(BIN)/govulncheck $(MODULES)

tidy: go ## go mod tidy, everywhere
	@for module in $(MODULES); do (cd $$module && go mod tidy); done

.PHONY: stack app go
stack: $(BIN)/up ## Builds the local stack, if it needs it
	@$(BIN)/up --build-only

app: go
	@tools/build.sh $(BIN)/bank . ./app/cmd/bank

$(BIN)/up: $(wildcard tools/up/*.go) tools/go.mod | go
	@tools/build.sh $@ tools ./up

$(BIN)/gotest: $(wildcard tools/gotest/*.go) | go
	@tools/build.sh $@ tools ./gotest

$(BIN)/golangci-lint: .ci/lint/go.mod | go
	@tools/build.sh $@ .ci/lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint -trimpath

$(BIN)/govulncheck: .ci/vuln/go.mod | go
	@tools/build.sh $@ .ci/vuln golang.org/x/vuln/cmd/govulncheck -trimpath

go:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl and try again." >&2; exit 1; }
