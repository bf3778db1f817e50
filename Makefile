# The front door: people and CI run the same commands. `make` alone lists them.
PYTHON ?= python3.11
LOCK ?= $(if $(shell command -v nvidia-smi 2>/dev/null),requirements-cuda.lock,requirements.lock)
TORCH := torch==2.13.0
BIN := .venv/bin
# What tests/system needs of the system: a program, or where one lies, and its Debian package.
SYSTEM_TOOLS := chromium=chromium ip=iproute2 /usr/lib/postgresql/*/bin/initdb=postgresql
# The S3 server of tests/system, in a folder of its own: .venv needs other versions of what it brings.
S3_LIB := .venv/s3-test
S3_STAMP := $(S3_LIB)/.installed-$(shell cksum < deployments/requirements-s3-test.txt | cut -d' ' -f1)
PIP := $(BIN)/python -m pip install -qq
# Changes with whatever setup installs, so that setup does only what is missing.
STAMP := .venv/.installed-$(shell cat requirements.lock $(LOCK) pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)

export PATH := $(CURDIR)/$(BIN):$(PATH)
export HF_HUB_OFFLINE = 1
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true
export TOKENIZERS_PARALLELISM = false
export GOMP_SPINCOUNT = 10000
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-system lint bench fuzz results up down clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## create .venv with everything pinned (about 4 minutes, 2.2 GB)

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { echo "Engram needs Python 3.11: $(PYTHON) is not on the PATH; set PYTHON=..."; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "setup 1/3: $(TORCH) into .venv"
	@$(PIP) $(TORCH)
	@echo "setup 2/3: the packages of $(LOCK)"
	@$(PIP) --no-deps -r $(LOCK)
	@echo "setup 3/3: engram itself"
	@$(PIP) --no-deps --no-build-isolation -e .
	@rm -f .venv/.installed-*
	@touch $@

demo: setup ## one night on the real model: fifty events, memory off, report
	@engram run consolidation/episodic

# What coverage makes several times as slow and other tests run as well: long loops over text, many whole nights one after another.
UNTRACED := tests/suites tests/sessions tests/evaluation tests/stages
test: setup ## all tests, with coverage of src/pipeline
	@OMP_NUM_THREADS=1 pytest $(UNTRACED) -n 2 --dist loadfile
	@OMP_NUM_THREADS=1 pytest --ignore=tests/system $(addprefix --ignore=,$(UNTRACED)) -n 2 --dist loadfile --cov=pipeline --cov-report=term --cov-fail-under=85

test-system: setup $(S3_STAMP) ## tests in a browser and against real services; installs what they need (as root, by apt)
	@missing="$$(for tool in $(SYSTEM_TOOLS); do command -v $${tool%=*} >/dev/null || printf '%s ' $${tool##*=}; done)"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $$missing"; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then echo "not root: install these yourself for all tests to run: $$missing"; fi
	@$(PIP) --no-deps -r requirements-system.txt
	@OMP_NUM_THREADS=1 ENGRAM_S3_TEST_LIB=$(CURDIR)/$(S3_LIB) pytest tests/system

$(S3_STAMP): | setup
	@rm -rf $(S3_LIB)
	@$(PIP) --no-warn-conflicts --target $(S3_LIB) -r deployments/requirements-s3-test.txt
	@touch $@

lint: setup ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy

bench: setup ## timings: make bench NAME=store; without NAME, the list
	@engram bench $(NAME)

fuzz: setup ## 120,000 hostile inputs through every way in (coverage-guided; about half an hour)
	@$(PIP) -r requirements-fuzz.txt
	@engram bench fuzz

results: setup ## docs/results.md from finished runs: make results RUNS="runs sweeps"
	@engram results $(or $(RUNS),runs) --out docs

up: setup ## Prefect server, both workers and MLflow on loopback, until `make down`
	@engram up

down: setup ## stop what `make up` started
	@engram down

clean: ## remove caches; keeps .venv, runs and memory
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov build dist src/*.egg-info
	@find src tasks flows tests -name __pycache__ -type d -prune -exec rm -rf {} +
