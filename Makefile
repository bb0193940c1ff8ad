# make demo: both ways on the example, a verdict, a report.   make test: all checks and tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo models test suite test-full check fix install clean

demo: models
	$(BIN)/whichway demo --yes

# Does nothing when both are here; without a network the demo itself says what to do.
models: $(INSTALLED)
	-$(BIN)/whichway models fetch smollm2 minilm --yes

# Checks beside tests. One thread for each test process, as processes would otherwise wait for each other; three of them
# on two cores, as many tests wait for a server, a job or a signal. `check` runs tests/house.
test: $(INSTALLED)
	$(MAKE) --no-print-directory --jobs 2 check suite

suite: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --ignore tests/house

test-full: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"

check: $(INSTALLED)
	$(BIN)/ruff check src tests pretraining benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house

fix: $(INSTALLED)
	$(BIN)/ruff check --fix src tests pretraining benchmarks

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
