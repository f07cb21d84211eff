# The only commands a person has to know. Everything runs in .venv, which `make` sets up by itself.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo ui test test-slow test-daemon test-all lint types bench lock clean help

help:
	@echo "make demo      simulated releases, embedded graph, everything in one go"
	@echo "make ui        the Dagster UI on http://127.0.0.1:3000, with the demo's simulated repository as the source"
	@echo "make test      the fast tests (test-slow: with a real Neo4j server; test-daemon: with the real UI; test-all)"
	@echo "make lint      ruff: rules and format"
	@echo "make types     mypy --strict"
	@echo "make bench     the benchmarks, with ../shared when it is there"
	@echo "make lock      renew requirements.lock from setup.py"

# Runtime packages first: the demo needs nothing else.
$(VENV)/runtime: requirements.lock setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	@touch $@

demo: $(VENV)/runtime
	$(BIN)/gfe-assets demo

ui: $(VENV)/runtime
	$(BIN)/gfe-assets ui

# A file's tests stay together, so that servers are started once a worker.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

test: $(VENV)/dev
	$(PYTEST) -m "not slow"

# Those with a real Neo4j server, kills and full disks.
test-slow: $(VENV)/dev
	$(PYTEST) -m "slow and not daemon"

# Those that drive a real `dagster dev` and a browser, for minutes each; most of that they wait.
test-daemon: $(VENV)/dev
	$(PYTEST) -m daemon $(TESTS)

test-all: $(VENV)/dev
	$(PYTEST)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

bench: $(VENV)/dev
	$(BIN)/python -m benchmarks

lock: $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip compile --universal --python-version 3.10 --no-header --quiet setup.py --output-file requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.10 --no-header --quiet --extra dev --extra aws setup.py --output-file requirements-dev.lock --constraint requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
