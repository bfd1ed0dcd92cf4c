# Needs Python 3.11 or newer and pip; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5050

.PHONY: run test test-integrations test-mlflow check bench bench-core clean

run: $(VENV)/installed  ## Record the demo if it is not there, then serve on http://127.0.0.1:5050
	$(BIN)/muniment demo --once
	$(BIN)/muniment serve --port $(PORT)

test: check  ## Everything that CI runs
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-integrations: $(VENV)-integrations/installed  ## Callbacks of PyTorch Lightning, Transformers and Keras, which CI does without
	$(VENV)-integrations/bin/python -m pytest -m heavy sdk/tests/integrations

test-mlflow: $(VENV)/installed-tests  ## Whether MLflow's own server still answers as the tests of its door have it written down; Lightning's logger for it
	$(BIN)/python -m pytest -m heavy server/tests/mlflow_door

check: $(VENV)/installed-tests  ## Style, types and floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy sdk/src server/src
	$(BIN)/lint-imports

bench: $(VENV)/installed-tests  ## Measure beside the real MLflow server, over its own protocol; takes half an hour
	$(BIN)/python -m benchmarks.sidebyside --json benchmarks/sidebyside.json \
		--markdown docs/reference/performance.md --plot docs/reference/performance.svg

bench-core: $(VENV)/installed-tests  ## Measure beside the limits of the machine; takes some minutes
	$(BIN)/python -m benchmarks.core --against benchmarks/baseline.json

$(VENV)/installed: sdk/pyproject.toml server/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable 'sdk[cli]' --editable 'server[demo]'
	touch $@

$(VENV)/installed-tests: $(VENV)/installed requirements-test.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	touch $@

$(VENV)-integrations/installed: $(VENV)/installed requirements-test.txt requirements-integrations.txt
	test -x $(VENV)-integrations/bin/python || $(PYTHON) -m venv $(VENV)-integrations
	$(VENV)-integrations/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable 'sdk[cli]' --editable 'server[demo]' --requirement requirements-test.txt \
		--requirement requirements-integrations.txt
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-integrations .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
