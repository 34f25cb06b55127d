# The commands of this project. `make help` lists them.

BIN := $(CURDIR)/.bin
GO  ?= go

# How tools are built: to .bin, whatever the machine is set up for.
INSTALL := GOFLAGS= GOBIN=$(BIN) $(GO) install

# Where generated code is.
GENERATED := pkg/api internal/typed/typedtest examples/upgrade/typed/upgrade python/src/oslorpc/v1 typescript/src/gen typescript/test/gen

# Python, from 3.11 on, for the tests of the Python package and for generating its code.
PYTHON ?= python3
VENV   := $(BIN)/venv

# What npm installs for the TypeScript package, which needs Node from 20 on.
NODE := typescript/node_modules/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the command line to .bin/oslorpc; one commit always gives the same bytes
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o $(BIN)/oslorpc ./cmd/oslorpc

.PHONY: reproducible
reproducible: ## Build two clones of the last commit, each with an empty cache, and fail if their sha256 differ
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	for clone in one two/deeper; do \
		git clone -q . "$$dir/$$clone" && GOCACHE="$$dir/$$clone/cache" $(MAKE) -s -C "$$dir/$$clone" build BIN="$$dir/$$clone/.bin" || exit 1; \
	done && \
	sha256sum "$$dir/one/.bin/oslorpc" && cmp "$$dir/one/.bin/oslorpc" "$$dir/two/deeper/.bin/oslorpc" && \
	"$$dir/one/.bin/oslorpc" version

.PHONY: demo
demo: build ## Watch a fleet of three servers answer
	@$(BIN)/oslorpc demo

.PHONY: demo-secure
demo-secure: build ## Watch a fleet with certificates: a denial, a rotation and an impostor
	@$(BIN)/oslorpc demo --secure

# Their tests measure memory and allocations, which the race detector changes.
WITHOUT_RACE := ./internal/attack ./internal/bench

.PHONY: polyglot
polyglot: build $(BIN)/venv-polyglot/.installed $(NODE) ## Build and install what examples/polyglot needs: a fleet in three languages
	@$(GO) build -o $(BIN)/ ./examples/polyglot/kitchen
	@cd typescript && npm run --silent build
	@cd examples/polyglot && npm install --silent --no-package-lock --no-fund --no-audit && ../../typescript/node_modules/.bin/tsc

.PHONY: test
test: polyglot test-python test-typescript interop test-mesh test-go ## Run every test: of Python and TypeScript, between languages, in meshes, and of Go

.PHONY: test-go
test-go: $(BIN)/consul $(BIN)/openapi-validate $(BIN)/.tools ## Run the tests of Go, with a real Consul and, except where tests measure memory, the race detector
	@$(MAKE) -s $(BIN)/nginx/.installed || echo "test-go: the sidecar in front of a gateway will be SKIPPED" >&2
	@$(BIN)/gotestsum --format pkgname-and-test-fails --raw-command -- sh -c ' \
		code=0; \
		$(GO) test -json -timeout 10m $(WITHOUT_RACE) || code=$$?; \
		$(GO) test -json -race -timeout 10m $$($(GO) list ./... | grep -vxF "$$($(GO) list $(WITHOUT_RACE))") || code=$$?; \
		(cd internal/bench/nats && $(GO) test -json .) || code=$$?; \
		exit $$code'

.PHONY: test-mesh
test-mesh: $(BIN)/consul ## Run what the README of examples/mesh shows, with a real Consul, and check the files to deploy with
	@cd examples/mesh && $(GO) vet ./... && $(GO) test -count=1 -timeout 5m ./...

# Each run of these tests takes one of the carriers at random, and a failure names it.
ON_CARRIERS := ./pkg/... ./internal/interception ./internal/e2e ./internal/host ./internal/conformance ./cmd/oslorpc

.PHONY: test-carriers
test-carriers: $(BIN)/consul ## Run the tests of clients and servers on each carrier
	@OSLORPC_CARRIER=unary $(GO) test -count=1 $(ON_CARRIERS)
	@OSLORPC_CARRIER=session $(GO) test -count=1 $(ON_CARRIERS)

.PHONY: attack
attack: ## Attack servers with a memory budget, and check how long others wait; needs an idle machine
	@OSLORPC_TEST_TIMES=1 $(GO) test -count=1 -v ./internal/attack

.PHONY: rotation
rotation: ## Replace all certificates of a fleet each second for a minute, under load; no call may fail
	@$(GO) test -count=1 -v -run TestRotation ./internal/intruder -rotate 60s

# Most tests of Python wait for other programs, so many run at once. Each process has a Consul of its own.
PYTEST_FLAGS = -n 8 --maxschedchunk 1

.PHONY: test-python
test-python: build $(BIN)/consul $(VENV)/.installed ## Run the tests of Python, against Go programs and a real Consul
	@$(MAKE) -s $(BIN)/rabbitmq/.installed || echo "test-python: the move from RabbitMQ will be SKIPPED" >&2
	@$(GO) build -o $(BIN)/upgrade-server ./examples/upgrade/server
	@$(GO) build -o $(BIN)/upgrade-client ./examples/upgrade/client
	@cd python && $(VENV)/bin/python -m pytest $(PYTEST_FLAGS)

.PHONY: test-typescript
test-typescript: build $(BIN)/consul $(NODE) ## Run the tests of TypeScript, against Go programs and a real Consul
	@$(GO) build -o $(BIN)/upgrade-server ./examples/upgrade/server
	@$(GO) build -o $(BIN)/upgrade-client ./examples/upgrade/client
	@cd typescript && npm test --silent

.PHONY: test-oslo
test-oslo: build $(BIN)/consul $(VENV)/.installed $(BIN)/venv-oslo14/.installed ## Run oslo.messaging's own tests of RPCs over the driver, with 18.3 and with 14.0
	@$(VENV)/bin/python python/upstream/run.py $(VENV)/bin/python $(BIN)/venv-oslo14/bin/python
	@cd python && $(BIN)/venv-oslo14/bin/python -m pytest tests/test_oslo.py tests/test_oslo_services.py

.PHONY: test-openstack
test-openstack: build $(BIN)/consul $(VENV)/.installed $(BIN)/venv-openstack/.installed ## Run classes of Neutron and Nova themselves with the Go programs of examples
	@mkdir -p $(BIN)/examples && $(GO) build -o $(BIN)/examples/ ./examples/neutron/... ./examples/nova/...
	@cd python && $(VENV)/bin/python -m pytest openstack

.PHONY: bench-oslo
bench-oslo: $(VENV)/.installed $(BIN)/rabbitmq/.installed ## Compare oslo.messaging over the driver with oslo.messaging over RabbitMQ
	@$(VENV)/bin/python python/upstream/bench.py

.PHONY: conformance
conformance: ## Run oslo.messaging's own cases, and list where oslorpc differs on purpose
	@$(GO) run ./internal/conformance/report

.PHONY: bench
bench: bench-nats ## Compare with plain gRPC: lines of `name median q1 q3`; then both carriers with it and with NATS micro
	@$(GO) run ./internal/bench

.PHONY: bench-nats
bench-nats: ## Compare both carriers with plain gRPC and with NATS micro, which is in a module of its own
	@cd internal/bench/nats && $(GO) run .

.PHONY: bench-gateway
bench-gateway: $(BIN)/nginx/.installed ## Compare calls through a gateway with direct ones, and with calls through nginx
	@$(GO) build -o $(BIN)/bench-gateway ./internal/bench/gateway && $(BIN)/bench-gateway -nginx $(BIN)/nginx/usr/sbin/nginx $(BENCH_FLAGS)

.PHONY: bench-python
bench-python: $(VENV)/.installed ## Compare calls of the Python package with raw grpcio's
	@cd python && PYTHONPATH=src $(VENV)/bin/python bench/compare.py $(BENCH_FLAGS)

# A simulation of another size: make simulate AGENTS=2000 HUBS=5 CHURN=0.05
SIMULATE_FLAGS = $(if $(AGENTS),-agents $(AGENTS)) $(if $(HUBS),-hubs $(HUBS)) $(if $(CHURN),-churn $(CHURN))

.PHONY: simulate
simulate: ## Run 10,000 servers and 3 hubs in one process, and say what they take; it needs 10 GB of memory
	@$(GO) run ./internal/simulate $(SIMULATE_FLAGS)

.PHONY: fuzz
fuzz: ## Run each fuzz target for half a minute
	@grep -rln --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		grep -o '^func Fuzz[A-Za-z0-9]*' "$$file" | while read -r _ target; do \
			echo "$$target in $$(dirname "$$file")"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime 30s "$$(dirname "$$file")" || exit 1; \
		done || exit 1; \
	done

# A run of the laboratory: make lab RUN='^kill$$' SEED=7 SHORT=1 KEEP=/tmp/histories
LAB_FLAGS = $(if $(RUN),-run '$(RUN)') $(if $(SEED),-seed $(SEED)) $(if $(SHORT),-short) $(if $(KEEP),-keep $(KEEP)) $(if $(LIST),-list)

.PHONY: lab
lab: $(if $(LIST),,$(BIN)/consul) ## Break real processes, networks and Consul, and check every promise; some 40 minutes, RUN=regexp selects
	@$(GO) build -o $(BIN)/lab ./internal/lab/main && $(BIN)/lab $(LAB_FLAGS)

.PHONY: interop
interop: $(BIN)/consul $(VENV)/.installed $(NODE) ## Try each language's clients with each language's servers; RUN='py to go' selects cells
	@cd typescript && npm run --silent build-interop
	@$(GO) build -o $(BIN)/interop ./internal/interop/main && $(BIN)/interop $(if $(RUN),-run '$(RUN)')

# Modules beside the library's, whose dependencies it must not have.
MODULES := examples/mesh internal/bench/nats

.PHONY: lint
lint: $(BIN)/.tools $(BIN)/.lint ## Check the style of code, in each module with programs, and of protos
	@for module in . $(MODULES); do (cd $$module && $(BIN)/golangci-lint run ./...) || exit 1; done
	@$(BIN)/buf lint

.PHONY: lint-python
lint-python: $(VENV)/.installed ## Check the style and the types of the Python package
	@cd python && $(VENV)/bin/ruff check --config pyproject.toml . ../examples/polyglot && \
	$(VENV)/bin/ruff format --config pyproject.toml --check . ../examples/polyglot && $(VENV)/bin/mypy

.PHONY: lint-typescript
lint-typescript: $(NODE) ## Check the style and the types of the TypeScript package
	@cd typescript && npm run --silent check

.PHONY: generate
generate: $(BIN)/.tools $(BIN)/venv-generate/.installed $(NODE) ## Generate the Go, Python and TypeScript code of the protos
	@find $(GENERATED) \( -name '*.pb.go' -o -name '*_pb2.py*' -o -name '*_pb.ts' \) -delete
	@PATH="$(BIN):$$PATH" buf generate

.PHONY: check-generate
check-generate: generate ## Fail if the checked-in generated code differs from the protos
	@git add --intent-to-add $(GENERATED) && git diff --exit-code -- $(GENERATED) || \
		{ echo "the generated code is out of date: run 'make generate' and commit $(GENERATED)" >&2; exit 1; }

.PHONY: sbom
sbom: $(BIN)/.supply ## Write what the command line of the last commit is built from to .bin/oslorpc.cdx.json, as CycloneDX
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	{ git clone -q . "$$dir" || { echo "sbom: Git has the version, so this needs a clone or a worktree with a commit" >&2; exit 1; }; } && \
	CGO_ENABLED=0 $(BIN)/cyclonedx-gomod app -json -noserial -main cmd/oslorpc -output $(BIN)/oslorpc.cdx.json "$$dir"

.PHONY: licenses
licenses: $(BIN)/.supply ## List the license of each module in the command line; fail if one is unknown or not allowed
	@$(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/oslorpc | \
		sort -u | sed '/^$$/d' | $(BIN)/licenses

.PHONY: vulncheck
vulncheck: $(BIN)/.supply ## Look for known vulnerabilities in what is built; skipped where the database cannot be reached
	@found=$$($(BIN)/govulncheck ./... 2>&1); code=$$?; echo "$$found"; \
	case "$$code:$$found" in \
	0:*) ;; \
	*"fetching vulnerabilities"*) echo "vulncheck: SKIPPED: the database of vulnerabilities cannot be reached" >&2 ;; \
	*) exit $$code ;; \
	esac

.PHONY: docs
docs: $(BIN)/venv-site/.installed ## Build the documentation as a site, to .bin/site; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/venv-site/bin/mkdocs build --quiet --strict && echo "open .bin/site/index.html"

.PHONY: picture
picture: build $(BIN)/venv-picture/.installed ## Draw the demo as docs/demo.svg
	@$(BIN)/oslorpc demo | $(BIN)/venv-picture/bin/python tools/picture/picture.py docs/demo.svg

.PHONY: check-breaking
check-breaking: $(BIN)/.tools ## Fail if peers of the last release would misread the protos
	@last=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || { echo "check-breaking: there is no release yet"; exit 0; }; \
	$(BIN)/buf breaking --against ".git#tag=$$last"

.PHONY: release
release: ## Check what a release needs, and print its tag; changes nothing. VERSION=v0.1.0
	@case '$(VERSION)' in v[0-9]*.[0-9]*.[0-9]*) ;; *) echo "release: name the version: make release VERSION=v0.1.0" >&2; exit 2;; esac
	@test -z "$$(git status --porcelain)" || { echo "release: commit or remove these first:" >&2; git status --short >&2; exit 1; }
	@! git rev-parse -q --verify 'refs/tags/$(VERSION)' >/dev/null || { echo "release: the tag $(VERSION) exists" >&2; exit 1; }
	@$(MAKE) -s check-breaking reproducible sbom licenses vulncheck
	@.ci/run
	@grep -q '^## $(VERSION)' CHANGELOG.md || echo "release: CHANGELOG.md has no section $(VERSION) yet"
	@echo "release: $$(git rev-parse --short HEAD) may become $(VERSION): git tag -s $(VERSION) && git push origin $(VERSION)"

.PHONY: clean
clean: ## Remove what was built
	@rm -rf $(BIN)

# The tools of a module are stood for by one file: go install skips what is up to date, but asking costs seconds.

$(BIN)/.tools: tools/go.mod tools/go.sum
	@echo "building the tools of tools/go.mod, once"
	@cd tools && $(INSTALL) tool
	@touch $@

$(BIN)/.lint: tools/lint/go.mod tools/lint/go.sum
	@echo "building the linter of tools/lint, once; it takes some minutes"
	@cd tools/lint && $(INSTALL) tool
	@touch $@

$(BIN)/.supply: tools/supply/go.mod tools/supply/go.sum
	@echo "building the tools of tools/supply, once"
	@cd tools/supply && $(INSTALL) tool ./licenses
	@touch $@

# Virtual environments for Python, from PyPI.

$(VENV)/.installed: python/requirements-dev.txt
	@echo "installing what the Python tests need to $(VENV), once"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) && $(VENV)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(BIN)/venv-generate/.installed: python/requirements-generate.txt
	@$(PYTHON) -m venv $(BIN)/venv-generate && $(BIN)/venv-generate/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(BIN)/venv-site/.installed: tools/site/requirements.txt
	@$(PYTHON) -m venv $(BIN)/venv-site && $(BIN)/venv-site/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(BIN)/venv-polyglot/.installed: python/pyproject.toml
	@$(PYTHON) -m venv $(BIN)/venv-polyglot && $(BIN)/venv-polyglot/bin/python -m pip install -q --disable-pip-version-check -e python
	@touch $@

$(BIN)/venv-picture/.installed: tools/picture/requirements.txt
	@$(PYTHON) -m venv $(BIN)/venv-picture && $(BIN)/venv-picture/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(NODE): typescript/package.json typescript/package-lock.json
	@echo "installing what the TypeScript package needs to typescript/node_modules, once"
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { echo "Node 20 or later is needed" >&2; exit 1; }
	@cd typescript && npm ci --silent --no-fund --no-audit
	@touch $@

$(BIN)/venv-oslo14/.installed: python/upstream/requirements-14.txt
	@echo "installing oslo.messaging 14.0 to $(BIN)/venv-oslo14, once"
	@$(PYTHON) -m venv $(BIN)/venv-oslo14 && $(BIN)/venv-oslo14/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

$(BIN)/venv-openstack/.installed: python/openstack/requirements.txt
	@echo "installing Neutron and Nova to $(BIN)/venv-openstack, once"
	@$(PYTHON) -m venv $(BIN)/venv-openstack && $(BIN)/venv-openstack/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

# RabbitMQ and what it needs beyond a usual system, from Debian, for the tests of two transports at once.
RABBITMQ := rabbitmq-server $(addprefix erlang-,base asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key \
	runtime-tools snmp ssl syntax-tools tftp tools xmerl)

$(BIN)/rabbitmq/.installed:
	@echo "unpacking RabbitMQ of Debian to $(BIN)/rabbitmq, once"
	@rm -rf $(BIN)/rabbitmq && mkdir -p $(BIN)/rabbitmq/debs && cd $(BIN)/rabbitmq/debs && \
	{ apt-get download -q $(RABBITMQ) >log 2>&1 || \
	{ apt-get update -q && apt-get download -q $(RABBITMQ); } >log 2>&1 || { cat log; echo "RabbitMQ is unpacked from packages of Debian 12 or later, which apt-get cannot download here" >&2; exit 1; }; } && \
	for deb in *.deb; do dpkg-deb -x "$$deb" .. || exit 1; done && rm -r ../debs
	@touch $@

$(BIN)/nginx/.installed:
	@echo "unpacking nginx of Debian to $(BIN)/nginx, once"
	@rm -rf $(BIN)/nginx && mkdir -p $(BIN)/nginx/debs && cd $(BIN)/nginx/debs && \
	{ apt-get download -q nginx >log 2>&1 || { apt-get update -q && apt-get download -q nginx; } >log 2>&1 || \
	{ cat log; echo "nginx is unpacked from a package of Debian 12 or later, which apt-get cannot download here" >&2; exit 1; }; } && \
	for deb in *.deb; do dpkg-deb -x "$$deb" .. || exit 1; done && rm -r ../debs
	@touch $@

$(BIN)/openapi-validate: tools/openapi/go.mod tools/openapi/go.sum
	@cd tools/openapi && GOFLAGS= $(GO) build -o $@ github.com/getkin/kin-openapi/cmd/validate

$(BIN)/consul: tools/consul/go.mod tools/consul/go.sum
	@echo "building Consul for the tests, once; it takes some minutes"
	@cd tools/consul && $(INSTALL) tool
	@touch $@
