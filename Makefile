# `make` alone says what there is. Tests use the dev profile, measurements and `make run` the release profile.

SHELL := /bin/bash
CARGO ?= cargo
# Crash points exist only in test builds; one set of features for every test build, so that nothing is built twice.
TEST_FEATURES := --features hub/crash-points
BENCH_SECONDS ?= 20
FUZZ_SECONDS ?= 60
PROVE_ROUNDS ?= 200
PROVE_CUTS ?= 40

.PHONY: help prerequisites run build peers services test check audit bench prove fuzz

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prerequisites: ## Install what a fresh Debian 12 with Rust and git lacks
	@deploy/prerequisites.sh

run: ## Start the hub on its embedded defaults and play a sample feed; Ctrl-C drains and stops it
	$(CARGO) run --release --package hub -- run --sample

build: prerequisites ## Build everything as the tests need it
	$(CARGO) build --workspace --all-targets $(TEST_FEATURES)

peers: prerequisites ## Fetch and build the foreign peers (Python, Node, Java) under target/peers
	tests/peers/prepare.sh

services: prerequisites ## Start PostgreSQL, RabbitMQ and Kafka for the tests, on 127.0.0.1; deploy/services.sh down stops them
	@deploy/services.sh up

test: build peers ## Everything that must hold: unit tests, peers that others wrote, crashes; on real servers
	deploy/services_test.sh
	deploy/services.sh with $(CARGO) test --workspace $(TEST_FEATURES)

check: ## Format, clippy with warnings as errors, unit tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(TEST_FEATURES) -- --deny warnings
	deploy/services.sh with $(CARGO) test --package adapters --package hub $(TEST_FEATURES)

audit: ## Licences, sources, bans and advisories of all dependencies (installs cargo-deny if it is missing)
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked
	$(CARGO) deny check licenses bans sources
	$(CARGO) deny check advisories

bench: ## Messages a second end to end, and the delay of answers, on this machine
	$(CARGO) build --release --package hub --package hub-tests --bins
	HUB_BIN=target/release/hub target/release/bench --seconds $(BENCH_SECONDS)

prove: build peers ## The long runs: 200 rounds of kill -9, power cuts (root, loop devices), fuzzing
	HUB_ROUNDS=$(PROVE_ROUNDS) deploy/services.sh with $(CARGO) test --workspace $(TEST_FEATURES) --test crash -- --nocapture
	deploy/services.sh with $(CARGO) test --workspace $(TEST_FEATURES) --test brokers -- --nocapture
	HUB_BIN=target/debug/hub target/debug/power-cut --rounds $(PROVE_CUTS)
	$(MAKE) fuzz

fuzz: ## Every fuzz target for FUZZ_SECONDS (60) each, on the stable toolchain
	@command -v cargo-fuzz >/dev/null || $(CARGO) install cargo-fuzz --locked
	tests/fuzz.sh $(FUZZ_SECONDS)
