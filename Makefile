# `make demo` and `make test` set up everything that they need; Python 3.11 or later is all that must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format golden bench clean

help:  ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Envoy's API stubs are made when the project is installed, so this runs again when their generator changes.
$(READY): pyproject.toml constraints.txt build_hooks/envoy_stubs.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mizzen needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	touch $@

setup: $(READY)  ## Make the virtual environment

demo: $(READY)  ## Run Bookinfo in a mesh; ARGS=--check checks it and ends
	$(BIN)/python examples/demo.py $(ARGS)

# Tests wait a third of their time, so three workers are what keeps two cores busy.
test: $(READY)  ## Run all tests
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

check: $(READY)  ## Check format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(READY)  ## Rewrite the expected files of the golden tests, and docs/reference; read the difference
	-GOLDEN=write $(BIN)/python -m pytest -q tests/golden
	git --no-pager diff --stat -- tests/golden docs/reference

bench: $(READY)  ## Measure latency, throughput, start and push, and write docs/benchmarks.md
	$(BIN)/python -m bench $(ARGS)

clean:  ## Remove the virtual environment and what tools leave behind
	rm -rf $(VENV) src/mizzen/stubs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
