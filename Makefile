PYTHON ?= python3.11
SEED ?= 0
BIN := .venv/bin

.PHONY: setup search test coverage test-lowest lint docs clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

search: setup
	$(BIN)/evonas search digits --seed $(SEED) --out results/runs/digits --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: setup
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env docs docs/_build/html

test: lint
	$(BIN)/pytest -n 2

coverage: lint
	$(BIN)/pytest -n 2 --cov --cov-report=term:skip-covered --cov-report=html

# The lowest releases that pyproject.toml allows; old packages warn of one another.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --constraint constraints-lowest.txt torch
	.venv-lowest/bin/pip install --quiet --constraint constraints-lowest.txt --editable '.[all]' \
		hypothesis pytest pytest-timeout pytest-xdist
	.venv-lowest/bin/pytest -n 2 -o filterwarnings=default -m 'not slow' tests/evonas \
		tests/problems tests/surrogates tests/runners
	.venv-lowest/bin/pytest -n 0 -o filterwarnings=default tests/runners/ray/test_pool.py

clean:
	rm -rf .venv .venv-lowest .coverage htmlcov build docs/_build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
