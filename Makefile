# Two commands do everything on a machine with Python 3.11+, pip and make:
#   make demo   sets up, simulates an overflow, and explains its history and a recorded one
#   make test   sets up and runs all checks
# `make docs-check` checks the pages alone: examples, JSON fields, links.
# `make attack` runs what tries to break it, for two minutes or so.
.PHONY: attack matrix demo test setup lint types layers unit docs-check bench clean

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "durable needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	$(BIN)/python -m compileall -q durable_cli core
	@touch $(STAMP)

demo: setup
	$(BIN)/durable simulate --handler fixtures/handlers/native_flat_overflow.py:handler \
		--record $(VENV)/demo.history.json --force
	$(BIN)/durable replay $(VENV)/demo.history.json
	$(BIN)/durable replay fixtures/histories/flat_overflow_reentered.json

test: lint types layers unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports --no-logo

unit: setup
	$(BIN)/pytest -q -n auto

# README.md and docs/ alone; `unit` runs these tests too.
docs-check: setup
	$(BIN)/pytest -q -n auto tests/test_docs.py

# The same handlers on every major version of AWS's SDK, each in an environment of its own.
AWS_SDKS ?= 3.0.0 2.1.0 1.7.0

matrix: setup
	for version in $(AWS_SDKS); do \
	  $(PYTHON) -m venv --clear $(VENV)/aws-$$version && \
	  $(VENV)/aws-$$version/bin/python -m pip install --quiet --disable-pip-version-check \
	    --editable . hypothesis pytest pytest-xdist aws-durable-execution-sdk-python==$$version && \
	  $(VENV)/aws-$$version/bin/python -m pytest -q -n auto \
	    tests/test_aws_sdk.py tests/test_aws_stuck.py tests/test_cli_simulate.py \
	    tests/test_conformance_aws.py tests/test_isolated.py tests/test_races.py tests/test_replay.py \
	    tests/test_replay_threads.py tests/test_retry_differences.py tests/test_simulation_findings.py \
	    tests/test_stand_ins.py || exit 1; \
	done

# Handlers that try to reach outside while they are verified, by all ways that were thought of, and
# code that tries to get past the walls around the processes that verify.
# Then a minute of fuzzing, and the known vulnerabilities of what is installed.
FUZZ_SECONDS ?= 60

attack: setup
	$(BIN)/pytest -q -n auto -m "" tests/attack
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS)
	@$(PYTHON) -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.7,<3" \
	  || { echo "pip-audit: skipped: it can't be installed here"; exit 0; }; \
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/audit/installed.txt; \
	$(VENV)/audit/bin/pip-audit --version > /dev/null 2>&1 || exit 0; \
	$(VENV)/audit/bin/pip-audit --no-deps --disable-pip -r $(VENV)/audit/installed.txt > $(VENV)/audit/said.txt 2>&1; \
	code=$$?; \
	if grep -qE "ConnectionError|Max retries|ServiceError|HTTPError|Failed to" $(VENV)/audit/said.txt; then \
	  echo "pip-audit: skipped: the list of vulnerabilities can't be reached"; exit 0; \
	fi; \
	unknown=$$(grep -c "could not be audited" $(VENV)/audit/said.txt); \
	if [ $$code -eq 0 ] && [ $$unknown -gt 0 ]; then \
	  echo "pip-audit: skipped for $$unknown packages, of which the list that is reached knows nothing"; \
	  exit 0; \
	fi; \
	cat $(VENV)/audit/said.txt; exit $$code

bench: setup
	$(BIN)/python tests/benchmarks/bench_commands.py
	$(BIN)/python tests/benchmarks/bench_core.py
	$(BIN)/python tests/benchmarks/bench_service.py
	$(BIN)/python tests/benchmarks/bench_simulate.py
	$(BIN)/python tests/benchmarks/bench_verify.py

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
