PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src -type f -not -name '*.pyc' 2>/dev/null) pyproject.toml README.md LICENSE

# Keeps compiled bytecode, outside the tree: else every test process, and every program that a test starts, would compile
# it all again, which is a tenth of the time that the tests take.
PYTEST := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/compiled $(BIN)/python -m pytest

# Four processes on two cores, for tests often wait. Those of tests/system take longest, so they come first. A process
# that a hung test ends is not replaced: pytest-xdist would wait for it for ever, and not name the test.
PARALLEL := --numprocesses=4 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

.PHONY: help install demo cluster-demo test test-slow check lint bench chaos chaos-cluster fuzz soak wheel clean

help: ## what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## create .venv with pinned, hashed requirements and healthprobe itself

demo: install ## engines that crash, hang and recover, probed for real; make demo ARGS="--for 30s"
	@$(BIN)/healthprobe demo $(ARGS)

cluster-demo: install ## three NATS nodes and three instances, some of them killed before your eyes; ARGS="--for 60s"
	@$(BIN)/python -m cluster_demo $(ARGS)

test: install ## the tests that a change needs, against the installed wheel; ARGS="tests/worker" for some of them
	@$(PYTEST) $(or $(ARGS),$(PARALLEL) -m "not slow" tests/system tests)

test-slow: install ## the tests that prove by volume: soak, fuzz, chaos, power loss, simulation, a hundred thousand games
	@$(PYTEST) $(PARALLEL) -m "slow and not alone" tests/probing
	@$(PYTEST) $(PARALLEL) -m "slow and not alone" --ignore=tests/probing tests/system tests
	@$(PYTEST) -m "slow and alone" tests/system

lint: install ## ruff, mypy and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint wheel test ## what must hold before a commit; .ci/run runs test-slow as well

chaos: install ## every fault done to the whole program while engines fail, and the table of what was lost; ARGS="--short"
	@$(BIN)/python -m chaos $(ARGS)

chaos-cluster: install ## the same for instances that share a fleet on three NATS nodes; ARGS="--short", ARGS=takeover
	@$(BIN)/python -m chaos.cluster $(ARGS)

fuzz: install ## a million broken inputs for every parser, and what they did; ARGS="--only durations", ARGS="--seed 7"
	@$(BIN)/python -m fuzz $(ARGS)

soak: install ## 5,000 engines, a fifth replaced every minute, faults at random, 20 minutes: nothing may grow; ARGS="--minutes 6"
	@$(BIN)/python -m soak $(ARGS)

bench: $(VENV)/.bench ## our cost beside wrk, HAProxy, blackbox_exporter, aiohttp and httpx; ARGS="--write", ARGS=lateness, mass-failure, listing, seeing, cluster, units, simulation
	@$(BIN)/python -m benchmarks $(ARGS)

wheel: $(VENV)/.requirements ## build the wheel and the sdist into dist/
	@rm -rf dist && $(BIN)/python -m hatchling build >/dev/null
	@ls dist

clean: ## remove what was built, and .venv
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.requirements: requirements/develop.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned requirements into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/develop.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements $(SOURCES)
	@rm -rf $(VENV)/wheel && $(BIN)/python -m hatchling build --target wheel --directory $(VENV)/wheel >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall $(VENV)/wheel/*.whl
	@touch $@

$(VENV)/.bench: $(VENV)/.installed requirements/bench.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@
