# `make help` lists the targets. Everything runs from a bare checkout: CPython 3.11+, make and pip are enough.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
CERBOS := @cerbos/cerbos-linux-x64@0.55.0
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
DATA ?= data
PORT ?= 8000
MODULE ?= policy_service/engine/intervals.py
SERVICE := $(BIN)/policy-service
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup run demo-keys test check lint format types imports dependencies property conformance e2e security kills soundness mutation bench bench-peers docs lock

help: ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUNTIME): requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs CPython 3.11 or newer; set PYTHON=…" >&2; exit 2; }
	@echo "setting up $(VENV): the service (a minute or two) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/runtime.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY): $(RUNTIME) requirements/dev.lock
	@echo "setting up $(VENV): development tools (a minute or two) …"
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

setup: $(READY) ## Install runtime and development tools into .venv

run: $(RUNTIME) ## Serve on 127.0.0.1:8000, with a demo data directory in ./data when there is none
	@test -e $(DATA)/policy.db && $(SERVICE) demo --data-dir $(DATA) --port $(PORT) || $(SERVICE) init --demo --data-dir $(DATA) --port $(PORT)
	@exec $(SERVICE) serve --data-dir $(DATA) --port $(PORT) --policies policies

demo-keys: $(RUNTIME) ## Issue fresh demo keys for ./data
	@$(SERVICE) demo --fresh-keys --data-dir $(DATA) --port $(PORT)

test: $(READY) ## Every test, real databases and servers included; the same examples each time (HYPOTHESIS_PROFILE=default draws new ones)
	@$(BIN)/python -m compileall -q policy_service # else every server that a test starts does it again, where nothing may write bytecode
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-ci} $(PYTEST) -n 2 --dist worksteal

check: lint types imports dependencies docs ## Everything that CI checks besides the tests

lint: $(READY) ## Style and likely bugs
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(READY) ## Rewrite the code in the house's format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(READY) ## Static types
	@$(BIN)/mypy

imports: $(READY) ## The house's walls
	@$(BIN)/lint-imports

dependencies: $(READY) ## Every import declared, every dependency used and explained
	@$(BIN)/deptry policy_service

property: $(READY) ## The theorems alone, with their branch coverage of model, language, engine and emitted code
	@$(BIN)/python -m tests.property.cover

conformance: $(READY) ## Cases through oracle, engine and HTTP
	@$(PYTEST) tests/conformance

e2e: $(READY) ## Real servers, real databases
	@$(PYTEST) tests/e2e

security: $(READY) ## The attack suite, against a running server; prints what it tried (some minutes)
	@$(PYTEST) tests/security -m 'long or not long'

kills: $(READY) ## Six hundred kills of a server under load, on sound, full and read-only disks; every answer looked up afterwards (long)
	@$(PYTEST) tests/e2e -m long -s

soundness: $(READY) ## What is proved, against 100,000 requests for each of 21 policies; prints what it tried (minutes)
	@$(BIN)/python -m tests.property.soundness

mutation: $(READY) ## Mutants of one module against tests and theorems: MODULE=policy_service/engine/intervals.py (minutes to an hour)
	@$(BIN)/python -m tests.property.mutate $(MODULE)

bench: $(READY) ## Print the figures
	@$(BIN)/python -m bench

bench-peers: $(PEERS) ## Our engine beside others; writes docs/performance.md (minutes; QUICK=1: under a minute, writes nothing)
	@$(BIN)/python -m bench.peers $(if $(QUICK),--quick)

$(PEERS): $(READY) requirements/bench.lock
	@echo "setting up $(VENV): the engines to compare with (a minute or two) …"
	@$(PIP) --require-hashes -r requirements/bench.lock
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix build/peers $(CERBOS); else echo "no npm: Cerbos will be left out" >&2; fi
	@touch $@

docs: $(READY) ## Check the documentation: links, settings, examples
	@$(PYTEST) -q tests/docs

lock: $(READY) ## Pin the dependencies anew
	@$(BIN)/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra build -o requirements/runtime.lock pyproject.toml
	@$(BIN)/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra build --extra dev -c requirements/runtime.lock -o requirements/dev.lock pyproject.toml
	@$(BIN)/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra build --extra dev --extra bench -c requirements/dev.lock -o requirements/bench.lock pyproject.toml
