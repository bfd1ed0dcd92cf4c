# Needs Python 3.11 or newer and pip; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5050

.PHONY: run test check bench clean

run: $(VENV)/installed  ## Record the demo if it is not there, then serve on http://127.0.0.1:5050
	$(BIN)/muniment demo --once
	$(BIN)/muniment serve --port $(PORT)

test: check  ## Everything that CI runs
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

check: $(VENV)/installed-tests  ## Style, types and floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sdk/src server/src
	$(BIN)/lint-imports

bench: $(VENV)/installed-tests  ## Measure; takes some minutes
	$(BIN)/python -m benchmarks.core --against benchmarks/baseline.json

$(VENV)/installed: sdk/pyproject.toml server/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable 'sdk[cli]' --editable 'server[demo]'
	touch $@

$(VENV)/installed-tests: $(VENV)/installed requirements-test.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
