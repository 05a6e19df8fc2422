# pointstore: the commands of everyday work. `make run` and `make test` are all a fresh machine needs.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed

.PHONY: run test lint types proto proto-check proto-dist proto-baseline pytest gates gate interop bench bench-service bench-filters demo crash differential clean

run: $(RUN)
	$(BIN)/pointstore serve --data-dir ./data

test: lint types proto-check pytest

pytest: $(DEV)
	$(BIN)/python -m pytest -n 2 --ignore tests/gates --ignore tests/interop

# The gates of reliability at their short sizes: about four minutes on two cores.
gates: $(DEV)
	$(BIN)/python -m pytest -n 2 tests/gates

# make gate GATE=R2 SIZE=100000 SECONDS=7200: one gate at a size of choice, stopped after so many seconds, or before with
# kill -USR1 of pytest's process; it reports what it has reached.
gate: SECONDS ?= 7200
gate: $(DEV)
	GATE_SIZE=$(SIZE) GATE_SECONDS=$(SECONDS) $(BIN)/python -m pytest -v --timeout 0 tests/gates --gate $(GATE)

# Programs in other languages against this server, as far as the machine has their toolchains.
interop: $(DEV)
	$(BIN)/python -m pytest -v tests/interop

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

proto: $(DEV)
	$(BIN)/python scripts/generate_proto.py

proto-check: $(DEV)
	$(BIN)/python scripts/generate_proto.py --check

# dist/pointstore-proto-VERSION.tar.gz: the contract for users of other languages.
proto-dist: $(DEV)
	$(BIN)/python scripts/proto_dist.py

# The contract as published from now on; `make interop` refuses changes that break it.
proto-baseline: $(DEV)
	$(BIN)/python scripts/proto_dist.py --baseline

bench: $(DEV)
	$(BIN)/python -m scripts.bench

bench-service: $(DEV)
	$(BIN)/python -m scripts.bench --only service

bench-filters: $(DEV)
	$(BIN)/python -m scripts.bench --only filters

# make demo DIR=folder: load a folder of packages and print the hits of a few queries.
demo: $(DEV)
	$(BIN)/python scripts/load_packages.py $(DIR) --queries 5

# make crash CRASH_CYCLES=100: so many cycles of load, kill -9, restart and comparison; about 3 s each.
crash: CRASH_CYCLES ?= 100
crash:
	$(MAKE) gate GATE=R1 SIZE=$(CRASH_CYCLES)

# make differential CASES=2000: so many random filters against the original engine and the client's local mode.
differential: CASES ?= 2000
differential: $(DEV)
	CASES=$(CASES) COMPAT_PROGRAMS=40 HYPOTHESIS_PROFILE=default $(BIN)/python -m pytest -n 2 --timeout 0 tests/compat

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip runs only when pyproject.toml has changed.
$(RUN): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[server]'
	touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[server,demo,dev]'
	touch $@ $(RUN)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "pointstore needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
