# `make help` lists the targets.
GO      ?= scripts/go
VERSION ?= 0.1.0
LDFLAGS := -s -w -X main.version=$(VERSION)
export CGO_ENABLED = 0
FUZZTIME ?= 10m

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

.PHONY: build
build: ## the static binary, at build/sallyport
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o build/sallyport ./daemon/cmd/sallyport

.PHONY: build-demo
build-demo: build
	$(GO) build -trimpath -o build/demoapi ./daemon/cmd/demoapi

.PHONY: demo
demo: build-demo ## a demo API behind NGINX and the daemon, on loopback (DEMO_ONCE=1 ends by itself)
	scripts/demo.sh

.PHONY: test
test: test-tools ## everything that must be true of every commit
	@test -z "$$($(GO) fmt -n ./daemon/... >/dev/null; gofmt -l daemon 2>/dev/null)" || { gofmt -l daemon; exit 1; }
	$(GO) vet ./daemon/...
	$(GO) test ./daemon/...

.PHONY: test-tools
test-tools:
	@scripts/need-tests

.PHONY: test-race
test-race: test-tools ## every test under the race detector
	CGO_ENABLED=1 $(GO) test -race -short ./daemon/...

.PHONY: backends
backends: ## what Go, Python, Flask, Node and PHP read of hostile requests, against what Sallyport reads
	@scripts/need python3 python3-flask nodejs php-cli
	SALLYPORT_BACKENDS=1 $(GO) test -count=1 -v -run Backends ./daemon/check/protocol

.PHONY: schema-fixtures
schema-fixtures: ## large public API documents and the official JSON Schema suite, for the schema tests
	daemon/check/schema/fixtures.sh .cache/fixtures

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l daemon)" || { gofmt -l daemon; exit 1; }
	$(GO) vet ./daemon/...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./daemon/...

.PHONY: fuzz
fuzz: ## every fuzz target in turn, FUZZTIME (10m) each
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' daemon | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -h -o '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -c6-); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) ./$$p || exit 1; \
	  done; \
	done

.PHONY: bench
bench: build ## what the doors and the checks cost, side by side in one run
	$(GO) build -trimpath -o build/doorfloor ./daemon/cmd/doorfloor
	scripts/bench-doors.sh
	$(GO) test -run '^$$' -bench . -benchmem ./daemon/...

.PHONY: evaluate
evaluate: build ## what the rules cover of labelled requests, every miss and false alarm (SALLYPORT_SHARED)
	scripts/evaluate.sh

.PHONY: compare-suricata
compare-suricata: ## the conformance cases and odd requests in a real Suricata and here: same alerts, same buffers
	@scripts/need suricata
	$(GO) test -count=1 -v -run 'AgainstSuricata' ./daemon/check/signature

.PHONY: bench-engines
bench-engines: build ## the same capture and rules through Suricata, where installed, and replay, in turn (PCAP, RULES)
	PCAP="$(PCAP)" RULES="$(RULES)" scripts/bench-engines.sh

.PHONY: bench-rules
bench-rules: ## a request through 0, 100, 1,000 and 10,000 rules, and the loading of all published ones
	$(GO) test -run '^$$' -bench 'Match|Load' -benchmem ./daemon/check/signature

.PHONY: bench-hostile
bench-hostile: ## what requests made to be dear cost through our rules and the published ones
	$(GO) test -run '^$$' -bench Hostile -benchtime 10x ./daemon/check/signature

.PHONY: rules-test
rules-test: build ## the requests beside our rules: what each must match and must pass
	build/sallyport rules test 'rules/*.rules'

.PHONY: packages
packages: ## deb and rpm for amd64 and arm64, SHA256SUMS and a bill of materials, in dist/
	VERSION=$(VERSION) scripts/packages.sh

.PHONY: packages-reproducible
packages-reproducible: ## build the packages in two places that differ in all but the sources, and compare every byte
	VERSION=$(VERSION) scripts/packages-reproducible.sh

.PHONY: test-arm64
test-arm64: ## the tests and the packaged binary for arm64, under qemu-user
	scripts/test-arm64.sh

.PHONY: soak-events
soak-events: ## 1,000,000 stored events: the size of the file and the time of each search
	SALLYPORT_SOAK=1 $(GO) test -count=1 -timeout 60m -v -run Million ./daemon/event/store

.PHONY: test-install
test-install: ## install, run, upgrade and purge the package in a booted Debian tree (root)
	scripts/test-install.sh

.PHONY: bench-doors
bench-doors: build ## what the doors cost with every check off, beside NGINX alone
	$(GO) build -trimpath -o build/doorfloor ./daemon/cmd/doorfloor
	BENCH_CONFIG="$$(for c in protocol pressure limit schema token signature score inventory; do printf '[check.%s]\nmode = "off"\n' $$c; done)" BENCH_PAIRS=$${BENCH_PAIRS:-20} scripts/bench-doors.sh

.PHONY: test-nginx-versions
test-nginx-versions: ## the doors' tests on NGINX 1.18, 1.22, 1.26 and 1.30, from Debian's suites (root or user namespaces)
	scripts/test-nginx-versions.sh
