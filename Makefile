# `make help` lists the targets. Each does its own set-up: see scripts/setup.
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo test redteam noninterference acceptance sqlmap bench bench-guard bench-watch check
.PHONY: bench-external bench-replay web
.PHONY: ledger-tests ledger-crashes ledger-faults ledger-power integration

help: ## List the targets
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

demo: ## Play the theft of a customer database and its capture; ARGS=--keep leaves it running
	@scripts/setup demo
	cargo build --release --locked --package postern
	@cargo run --release --locked --quiet --package postern -- demo $(ARGS)

test: ## Run all tests
	@scripts/setup test
	@scripts/test

redteam: ## Attack Postern as tests/redteam says; CORPUS="DIR DIR" runs other attacks
	@scripts/setup redteam
	cargo build --release --locked --package postern
	@python3 tests/redteam/harness/tests.py --quiet
	@python3 tests/redteam/harness/main.py $(ARGS) $(CORPUS)

sqlmap: ## Give a page with an SQL injection, behind Postern, to sqlmap for half an hour
	@scripts/setup sqlmap
	cargo build --release --locked --package postern
	@python3 tests/redteam/harness/injection.py $(ARGS)

NAME ?= all
integration: ## Run drivers' tests directly and through Postern, and compare; NAME=psycopg
	@scripts/setup integration
	cargo build --release --locked --package postern
	@integration/run $(NAME) $(ARGS)

REQUESTS ?= 100000
web: ## Put a pooled web application's requests through Postern; REQUESTS=2000
	@scripts/setup web
	cargo build --release --locked --package postern
	@integration/web/run --requests $(REQUESTS) $(ARGS)

QUERIES ?= 1000000
SEED ?= 1
noninterference: ## Try to tell apart two databases by what leaves them; QUERIES=1000000 SEED=1
	@scripts/setup test
	cargo build --release --locked --package postern-interference
	@cargo run --release --locked --quiet --package postern-interference -- \
	  --queries $(QUERIES) --seed $(SEED)

WORLDS ?= 40
acceptance: ## Trace leaks of known origin and print how well that went; WORLDS=40 SEED=1
	cargo run --release --locked --quiet --package postern-sim -- \
	  --worlds $(WORLDS) --seed $(SEED) --plot docs/trace-reliability.svg

ledger-tests: ## Tamper with a small ledger in every way; writes docs/ledger-tests.md
	@scripts/setup test
	POSTERN_NEEDS_PYTHON=1 POSTERN_BLESS=1 cargo test --locked --package postern-ledger --lib tamper

N ?= 1000000
ledger-crashes: ## Crash the ledger on a simulated disk N=1000000 times; writes the same
	POSTERN_CRASHES=$(N) cargo test --release --locked --package postern-ledger --lib crashes

ledger-faults: ## Kill real programs and fail their system calls with strace; writes the same
	cargo build --release --locked --package postern
	cargo build --release --locked --package postern-ledger --example writer
	@scripts/ledger-faults $(ARGS)

ledger-power: ## Cut the power of real programs, with what they did not sync lost; writes the same
	cargo build --release --locked --package postern
	cargo build --release --locked --package postern-ledger --example writer
	@scripts/ledger-power $(ARGS)

bench: ## Measure against PostgreSQL alone and pgbouncer, then recording; writes docs/benchmarks*.md
	@scripts/setup bench
	cargo build --release --locked --package postern
	python3 bench/run.py $(ARGS)
	python3 bench/recording.py

bench-guard: ## Measure the guard: analysis, hostile texts, the cost of masking in the server
	@scripts/setup bench
	cargo bench --locked --package postern-sql --bench analyse -- --noplot
	cargo bench --locked --package postern-session --bench judge -- --noplot
	cargo bench --locked --package postern-testkit --bench hostile
	cargo bench --locked --package postern-testkit --bench leaf

SEEDS ?= 4
bench-watch: ## Measure the detectors on made-up worlds; SEEDS=4
	cargo build --release --locked --package postern-sim
	@cargo run --release --locked --quiet --package postern-sim \
	  --bin postern-centre -- bench --seed 101 --seeds $(SEEDS)

EVENTS ?= 30000000
bench-replay: ## Replay a feed of EVENTS=30000000 events twice: speed, memory, same findings
	cargo build --release --locked --package postern --package postern-sim
	@python3 bench/replay.py --events $(EVENTS) $(ARGS)

DATA ?=
bench-external: ## Set the detectors beside published figures; DATA=folder (docs/detection.md)
	@test -n "$(DATA)" || \
	  { echo "error: DATA names no folder; see docs/detection.md" >&2; exit 64; }
	cargo build --release --locked --package postern-sim
	@cargo run --release --locked --quiet --package postern-sim --bin postern-external -- $(DATA)

check: ## Check format, lints, the project's own rules and the supply chain
	@scripts/setup check
	cargo xtask ci
