# evalkit: `make demo` and `make test` are all that a fresh machine needs. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-all browser lint bench docs images lab clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(VENV)/.installed ## install evalkit with vLLM into .venv and run suites/creative.yaml on the built-in checkpoints
	$(BIN)/evalkit run suites/creative.yaml

# Two files of tests at a time share the cores, so threads that wait must not spin.
test: $(VENV)/.installed-test ## install what the tests need and run every test
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/.installed-test ## the same with three seeds of every exact optimum, and more of what takes minutes
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile -m ""

browser: ## install Chromium, its driver and axe-core, with which the tests open the report (Debian and npm)
	tests/browser/install.sh

lint: $(VENV)/.installed-test ## formatting, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test ## speed against peers, as ratios measured in one run
	$(BIN)/python -m bench

docs: $(VENV)/.installed ## make docs/metrics.md anew from the metrics' docstrings
	$(BIN)/python docs/metrics_page.py

images: $(VENV)/.installed-test ## photograph a report of the built-in checkpoints, and the annotation page, for docs/images (after make browser)
	$(BIN)/python -m docs.screenshots

lab: $(VENV)/.installed ## make the built-in checkpoints anew
	$(BIN)/evalkit lab build

clean: ## remove the virtual environment
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml install.sh constraints.txt overrides.txt
	PYTHON=$(PYTHON) ./install.sh $(VENV)
	@touch $@

$(VENV)/.installed-test: pyproject.toml install.sh constraints.txt overrides.txt
	PYTHON=$(PYTHON) ./install.sh $(VENV) test train
	@touch $(VENV)/.installed $@
