# Bare make lists the targets.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 20s

.PHONY: help run test test-only bench flood lint fuzz deps

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## a hotline on loopback with built-in callers and agents
	$(GO) run ./cmd/hotline demo

test: deps lint test-only ## install what the tests need, then lint and all tests

test-only: ## all tests, nothing installed
	$(GO) test -race -timeout 12m ./...
	$(GO) test -run AllocatesNothing ./media

bench: ## measure this machine: calls per second, CPU and memory per call
	@scripts/bench-deps.sh
	$(GO) run ./bench
	$(GO) run ./bench -media -calls 100 -large 1000 -span 1s
	$(GO) run ./bench -media -fill -calls 500 -large 1000 -span 2s -only 'kernel$$|alone$$'
	$(GO) run ./bench -media -calls 2500 -large 2500 -span 1s -repeat 2 -only 'listen|callers send'
	$(GO) run ./bench -sip -span 4s
	$(GO) run ./bench -overload -span 10s
	$(GO) test -run '^$$' -bench . -benchmem ./routing ./routing/journal ./routing/simulate ./media ./playout ./sound ./sip

flood: ## others are served while one source, or 10,000 forged ones, send 20,000 messages a second
	HOTLINE_FLOOD_RATE=20000 $(GO) test -count=1 -v -run 'TestOthersAreServedInAFlood|TestForgedSources' ./sip

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fuzz: ## fuzz every parser for FUZZTIME (20s) each
	@scripts/fuzz.sh "$(FUZZTIME)"

deps: ## install the real peers that the tests meet (Debian; elsewhere it names them)
	@scripts/deps.sh
