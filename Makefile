# Every target prints what it does; `make help` lists them.
GO      ?= go
VERSION ?= 0.1.0
export CGO_ENABLED = 0

.PHONY: help build test lint
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

build: ## the static binary, at build/sallyport
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o build/sallyport ./daemon/cmd/sallyport

test: ## every test that needs no special machine
	$(GO) test ./daemon/...

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l daemon)" || { gofmt -l daemon; exit 1; }
	$(GO) vet ./daemon/...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./daemon/...
