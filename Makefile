# Every target makes what it needs; nothing has to be installed by hand but Python 3.11 or later and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
REPLICAS ?= 1
DURATION_S ?= 60
SEED ?=
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.complete
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help demo up matrix chaos mutants soak audit bench compose-test test report-test check docs format lock clean

help: ## Show this list
	@echo "Billed Once: an order is billed once, even when the network fails."
	@echo
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(STAMP) ## Play the five failures under the three semantics, then stay up for curl
	@exec $(RUN) -m chaos demo --exit-with-parent

up: $(STAMP) ## Start the stack and keep it up (REPLICAS=n of each service)
	@exec $(RUN) -m chaos up --replicas "$(REPLICAS)" --exit-with-parent

matrix: $(STAMP) ## Play the table alone, beside whatever else runs
	@exec $(RUN) -m chaos matrix --exit-with-parent

chaos: $(STAMP) ## The whole catalogue of faults on a stack of its own, with a report
	@exec $(RUN) -m chaos run --exit-with-parent

mutants: $(STAMP) ## Plant bugs into the services, and see which promise catches each
	@exec $(RUN) -m chaos mutants --exit-with-parent

soak: $(STAMP) ## Random faults under load (SEED=n DURATION_S=seconds)
	@exec $(RUN) -m chaos soak --exit-with-parent --duration "$(DURATION_S)" $(if $(SEED),--seed "$(SEED)")

audit: $(STAMP) ## Compare orders with withdrawals with balances of the running stack
	@exec $(RUN) -m chaos audit

bench: $(STAMP) ## Measure the figures of the README, about a quarter of an hour (needs wrk)
	@exec $(RUN) -m bench

compose-test: $(STAMP) ## Build the compose stack, play the table and kill containers under load, take it down
	@exec $(RUN) -m chaos.compose

test: $(STAMP) ## All tests: unit, integration, chaos
	@exec $(RUN) -m pytest

report-test: $(STAMP) ## The chaos report in a real browser (needs Chromium)
	@$(RUN) -m tests.browser.chromium
	@exec $(RUN) -m pytest tests/browser

check: $(STAMP) ## ruff, mypy --strict, and the rules of the architecture
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@exec $(RUN) -m pytest -q tests/architecture

docs: $(STAMP) ## Make the generated parts of the documents again
	@$(RUN) -m tests.architecture.settings_page
	@exec $(RUN) -m bench.page

format: $(STAMP) ## Format the code
	@$(RUN) -m ruff check --fix-only --quiet .
	@exec $(RUN) -m ruff format .

lock: $(STAMP) ## Pin the newest versions with their hashes (names, versions and hashes only)
	@$(RUN) -m pip install --quiet pip-tools
	@for lock in "requirements-services.lock" "requirements.lock --extra=dev"; do \
	  $(RUN) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-annotate \
	    --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o $$lock pyproject.toml; \
	done

clean: ## Remove the data of the stack, results and caches (the virtual environment stays)
	@rm -rf .run .hypothesis .pytest_cache .mypy_cache .ruff_cache

# Made in one go under a lock, so that two makes at once do not mix; the stamp comes last, so that an interrupted one
# does not count.
$(STAMP): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or later, or set PYTHON=/path/to/python3." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=/path/to/python3.11." >&2; exit 2; }
	@exec 9>.venv.lock; ! command -v flock >/dev/null || flock 9; \
	if [ -e $(STAMP) ] && [ $(STAMP) -nt requirements.lock ]; then exit 0; fi; \
	echo "Making the virtual environment (once, about a minute)"; \
	$(PYTHON) -m venv --clear $(VENV) || { echo "The virtual environment could not be made: is the venv module installed (python3-venv)?" >&2; exit 2; }; \
	$(RUN) -m pip install --quiet --require-hashes -r requirements.lock || { echo "The packages could not be installed: is the package index reachable?" >&2; exit 2; }; \
	touch $(STAMP)
