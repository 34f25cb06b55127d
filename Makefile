# The commands of this project. `make help` lists them.

BIN := $(CURDIR)/.bin
GO  ?= go

# Empty GOBIN and GOFLAGS, so that tools land in .bin whatever the machine is set up for.
TOOL := GOFLAGS= GOBIN=$(BIN) $(GO) install

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the command line to .bin/oslorpc
	@$(GO) build -o $(BIN)/oslorpc ./cmd/oslorpc

.PHONY: demo
demo: build ## Watch a fleet of three servers answer
	@$(BIN)/oslorpc demo

.PHONY: generate
generate: $(BIN)/.tools ## Generate the Go code of the protos
	@PATH="$(BIN):$$PATH" buf generate

.PHONY: check-generate
check-generate: generate ## Fail if the checked-in generated code is not what the protos give
	@git add --intent-to-add pkg/api && git diff --exit-code -- pkg/api || \
		{ echo "generated code is out of date: run 'make generate' and commit pkg/api" >&2; exit 1; }

# One file stands for all tools of tools/go.mod: go install skips what is up to date, but asking costs seconds.
$(BIN)/.tools: tools/go.mod tools/go.sum
	@echo "building the tools of tools/go.mod"
	@cd tools && $(TOOL) tool
	@touch $@
