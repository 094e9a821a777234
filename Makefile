# make install, run, demo, test, test-fast, check, docs, bench: each sets up what it needs.
VENV := .venv
BIN := $(VENV)/bin
# The interpreter that was installed for, else the first on PATH. With another, the environment is made anew.
PYTHON ?= $(firstword $(wildcard $(BIN)/python) python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
STAMP := $(VENV)/.installed-$(VERSION)
# Tests of the agent frameworks need `agents`; the fast ones do without.
EXTRAS ?= dev,agents
# Every test and every process that it starts would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install run demo test test-fast check docs format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hitl-receiver needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@$(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)

run: install
	@$(BIN)/hitl-receiver dev

demo: install
	@$(BIN)/hitl-receiver demo

# Most tests wait for processes: more workers than cores are busy. `make test PYTHON=python3.13` tests another version.
WORKERS ?= 8

test: install
	$(BIN)/pytest -n $(WORKERS)

# The inner loop: tests that take less than half a second. Few of them wait, and every worker collects them all.
test-fast: WORKERS = 4
test-fast: install
	$(BIN)/pytest -n $(WORKERS) -m "not slow and not browser" -p no:schemathesis --ignore tests/processes \
		--ignore tests/service/web/requests/test_made_up_calls.py

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: install
	$(BIN)/python -m tests.import_graph
	$(BIN)/python -m tests.metrics_page
	$(BIN)/python -m tests.doctor_page
	$(BIN)/python -m tests.alarms_page
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* .hitl site .mypy_cache .pytest_cache .ruff_cache .hypothesis
