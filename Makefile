# Every target installs what it needs. The only requirements are Python 3.11 or later and make.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
REPLICAS ?= 1
# 1: a synchronous standby of Postgres, which `make promote` makes the primary.
STANDBY ?= 0
DURATION_S ?= 60
SEED ?=
# For make mutation: mutants of each package (a number or all), packages or modules, the branch to compare with,
# python, sql or survivors, and the files of tests that are played.
SAMPLE ?= 40
PACKAGE ?=
CHANGED ?=
ONLY ?=
TESTS ?=
# Test processes that run at the same time; each starts a Postgres, and a stack when it needs one. More than two for each core of a small machine:
# tests of faults wait more than they compute.
WORKERS ?= 5
# Mutation testing only computes: one for each core.
MUTATION_WORKERS ?= 2
VENV := .venv
# -E: without the person's PYTHONPATH, PYTHONOPTIMIZE, PYTHONSAFEPATH and the like.
RUN := $(VENV)/bin/python -E
# While the interpreter starts, Ctrl-C would end in its traceback; so it is held back until the command is there to take
# it. Only GNU's env can do that; elsewhere the first hundredths of a second remain.
HOLD := $(shell env --block-signal=INT true 2>/dev/null && echo env --block-signal=INT)
COMMAND := $(HOLD) $(RUN) -m
# The tests of a module run in one process (tests/lanes.py), in the order in which they were arranged.
PYTEST := $(RUN) -m pytest -n $(WORKERS) --no-loadscope-reorder
STAMP := $(VENV)/.complete
COMPILE := $(RUN) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# A run of the tests starts hundreds of interpreters; without their cache each one would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

# The trap: an interrupted check is not a Python that is too old.
define NEEDS_PYTHON
trap 'exit 130' INT; \
command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or later, or set PYTHON=/path/to/python3." >&2; exit 2; }; \
$(PYTHON) -E -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -EV 2>&1). Set PYTHON=/path/to/python3.11." >&2; exit 2; }
endef

.PHONY: help demo up promote lab matrix chaos mutants soak audit bench judged patroni-test compose-test quick test test-mutants test-all mutation report-test check docs format lock clean

help: ## Show this list
	@echo "Billed Once: an order is billed once, even when the network fails."
	@echo
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(STAMP) ## Play the five failures under the three semantics, then stay up for curl
	@exec $(COMMAND) chaos demo --exit-with-parent

up: $(STAMP) ## Start the stack and keep it up (REPLICAS=n of each service, STANDBY=1)
	@exec $(COMMAND) stack up --replicas "$(REPLICAS)" --standby "$(STANDBY)" --exit-with-parent

promote: $(STAMP) ## Kill the primary of Postgres in the running stack and promote its standby
	@exec $(COMMAND) stack promote

lab: $(STAMP) ## One page on which you strike the real stack by hand
	@exec $(COMMAND) lab --exit-with-parent

matrix: $(STAMP) ## Play the table alone; other stacks may be running
	@exec $(COMMAND) chaos matrix --exit-with-parent

chaos: $(STAMP) ## The whole catalogue of faults on a stack of its own, with a report
	@exec $(COMMAND) chaos run --exit-with-parent

mutants: $(STAMP) ## Plant bugs in the services and see which promise catches each one
	@exec $(COMMAND) chaos mutants --exit-with-parent

soak: $(STAMP) ## Random faults under load (SEED=n DURATION_S=seconds)
	@exec $(COMMAND) chaos soak --exit-with-parent --duration "$(DURATION_S)" $(if $(SEED),--seed "$(SEED)")

audit: $(STAMP) ## Compare orders, withdrawals and balances of the running stack
	@exec $(COMMAND) chaos audit

bench: $(STAMP) ## Measure the figures of the README; takes about 15 minutes (needs wrk)
	@exec $(COMMAND) bench

patroni-test: $(STAMP) ## Kill, pause and cut off the leader of a Patroni cluster under load (needs etcd)
	@exec $(COMMAND) chaos.patroni --exit-with-parent

judged: $(STAMP) ## Judge published idempotency middlewares and write docs/judged.md
	@exec $(COMMAND) tests.judge.foreign

compose-test: $(STAMP) ## Build the compose stack, play the table, kill containers under load, take it down
	@exec $(COMMAND) chaos.compose

quick: $(STAMP) ## Unit and integration tests: what starts no program of its own
	@exec $(PYTEST) -m "not chaos and not slow and not mutants" --lane "Unit and integration tests."

test: $(STAMP) ## All tests: unit, integration, the whole catalogue, a planted bug for each promise
	@exec $(PYTEST) -m "not mutants" --lane "Unit, integration, the whole catalogue, a planted bug for each promise."

test-mutants: $(STAMP) ## The planted bugs that make test leaves out
	@exec $(PYTEST) -m mutants --lane "The planted bugs that 'make test' leaves out."

test-all: test test-mutants ## make test, and the other planted bugs

mutation: $(STAMP) ## Plant small bugs by rules, see which tests notice (SAMPLE=n SEED=n PACKAGE=path CHANGED=branch ONLY=sql)
	@exec $(COMMAND) tests.mutation --exit-with-parent --workers "$(MUTATION_WORKERS)" --sample "$(SAMPLE)" --package "$(PACKAGE)" --changed "$(CHANGED)" $(if $(SEED),--seed "$(SEED)") $(if $(ONLY),--only "$(ONLY)") --tests "$(TESTS)"

report-test: $(STAMP) ## The chaos report and the pages of the services in a real browser (needs Chromium)
	@$(RUN) -m tests.browser.chromium
	@exec $(RUN) -m pytest tests/browser

check: $(STAMP) ## ruff, mypy --strict and the rules of the architecture
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@exec $(RUN) -m pytest -q tests/architecture

docs: $(STAMP) ## Write the generated parts of the documents again
	@$(RUN) -m tests.architecture.settings_page
	@$(RUN) -m tests.architecture.guarantees_page
	@$(RUN) -m tests.architecture.map_page
	@$(RUN) -m tests.architecture.contracts
	@exec $(RUN) -m bench.page

format: $(STAMP) ## Format the code
	@$(RUN) -m ruff check --fix-only --quiet .
	@exec $(RUN) -m ruff format .

lock: $(STAMP) ## Pin the newest versions with their hashes (with PYTHON=python3.13)
	@$(RUN) -m pip install --quiet pip-tools
	@$(COMPILE) -o requirements.lock --extra=services --extra=dev pyproject.toml
	@# With Python 3.13 there is one package more, which no other Python can install: so make the lock with 3.13.
	@sed -i "s/^pyyaml-ft==[0-9.]*/& ; python_version == '3.13'/" requirements.lock
	@# Of one extra alone: what the judge needs is neither for the image of the services nor for Patroni.
	@for extra in services patroni; do \
	  $(RUN) -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")' $$extra \
	    | $(COMPILE) -o requirements-$$extra.lock -; \
	done

clean: ## Remove the stack's data, results and caches; the virtual environment stays
	@$(NEEDS_PYTHON)
	@exec $(HOLD) $(PYTHON) -E -m stack.clean

# Makes it in one go; an interrupted one does not count.
$(STAMP): requirements.lock
	@$(NEEDS_PYTHON)
	@exec $(HOLD) $(PYTHON) -E -m stack.bootstrap "$(VENV)"
