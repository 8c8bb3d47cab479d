# Everything a developer or CI runs. `make help` lists it. Paths are relative, so the checkout may lie anywhere.

SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV __PYVENV_LAUNCHER__ PYTHONDONTWRITEBYTECODE

VENV := .venv
PEERS := .venv-peers
GATEWAYS := .venv-gateways
PORTKEY := @portkey-ai/gateway@1.15.2
PY := $(VENV)/bin/python
KILLS ?= 2000
SEEDS ?= 2000
START ?= 1
JOBS ?= 2
N ?= 20
WORKERS ?= 2
ARGS ?=
JSON ?=

# The first interpreter that runs, is new enough and can make virtual environments; `make setup PYTHON=…` overrides it.
FIND_PYTHON = for p in $(if $(PYTHON),'$(PYTHON)',python3 python3.14 python3.13 python3.12 python3.11 python); do \
	if "$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo "$$p"; exit; fi; done; \
	echo "no Python >= 3.11 with venv found; install one (make setup-system) or name it: make setup PYTHON=/path/to/python3" >&2; exit 1

.PHONY: help setup setup-system demo test lint types check-layers bench peers bench-gateway bench-overload bench-stores bench-spike db-failover gateways crash simulate mutants aws-proof valkey-failover clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F': ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# Hundreds of processes are started by demo and tests: none of them need compile the code anew.
setup: $(VENV)/ready ## make .venv with all that demo, tests and checks need (fast when up to date)
	@$(PY) -m compileall -q src

$(VENV)/ready: pyproject.toml Makefile
	@set -e; python=$$($(FIND_PYTHON)); \
	if ! $(PY) -m pip --version >/dev/null 2>&1; then echo "making $(VENV) with $$python" >&2; "$$python" -m venv --clear $(VENV); fi; \
	$(PY) -m pip install --disable-pip-version-check -q 'pip>=25.1' >&2; \
	$(PY) -m pip install --disable-pip-version-check -q -e '.[aws,crypto,local,postgres,pydantic,valkey]' --group dev >&2; \
	touch $@

setup-system: ## install the Debian packages that this needs: Python, make, git, a C compiler; PostgreSQL, Redis, Node for tests
	apt-get update && apt-get install -y --no-install-recommends python3 python3-venv make git gcc libc6-dev openssl \
		postgresql redis-server nodejs npm chromium

demo: setup ## run the support desk under fire and print the verdict (ARGS='--tickets 30 --json')
	@$(PY) -m outlast.cli.main demo $(ARGS)

lint: setup ## ruff, the layers of the house, pyright
	@$(PY) -m ruff check .
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/pyright

# pyright uses one processor for a minute: it runs beside the tests, and is heard at the end if it found something.
test: setup ## lint, types and every test, in WORKERS processes (ARGS='tests/agent -k replay', WORKERS=0 for one)
	@$(PY) -m ruff check .
	@$(VENV)/bin/lint-imports
	@mkdir -p build; $(VENV)/bin/pyright >build/types.txt 2>&1 & types=$$!; \
	trap 'kill $$types 2>/dev/null; exit 130' INT TERM; \
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS); tests=$$?; \
	wait $$types || { cat build/types.txt; echo 'pyright, beside the tests, found what stands above'; exit 1; }; exit $$tests

crash: setup ## kill real processes KILLS times (default 2000) with steps in flight
	@$(PY) -m pytest tests/crash --kills $(KILLS) --timeout 0 $(ARGS)

simulate: setup ## simulate SEEDS seeds from START in JOBS processes (default 2000 from 1 in 2)
	@$(PY) -m outlast.simulation --seeds $(SEEDS) --start $(START) --jobs $(JOBS) --coverage $(ARGS)

mutants: setup ## switch on deliberate bugs one at a time: the simulation must catch each
	@$(PY) -m outlast.simulation --mutants --jobs $(JOBS) $(ARGS)

peers: $(PEERS)/ready ## make .venv-peers with the libraries that `make bench` compares with

$(PEERS)/ready: benchmarks/peers/requirements.txt
	@set -e; python=$$($(FIND_PYTHON)); \
	if ! $(PEERS)/bin/python -m pip --version >/dev/null 2>&1; then "$$python" -m venv --clear $(PEERS); fi; \
	$(PEERS)/bin/python -m pip install --disable-pip-version-check -q -r benchmarks/peers/requirements.txt >&2; \
	touch $@

bench: setup peers ## measure Outlast, the bare commit, DBOS and LangGraph in one run (JSON=1, ARGS='--quick')
	@$(PY) -m benchmarks --command 'make bench$(if $(JSON), JSON=1)$(if $(ARGS), ARGS="$(ARGS)")' $(if $(JSON),--json) $(ARGS)

gateways: $(GATEWAYS)/ready ## make .venv-gateways with the gateways that `make bench-gateway` compares with

$(GATEWAYS)/ready: benchmarks/gateway/requirements.txt
	@set -e; python=$$($(FIND_PYTHON)); \
	if ! $(GATEWAYS)/bin/python -m pip --version >/dev/null 2>&1; then "$$python" -m venv --clear $(GATEWAYS); fi; \
	$(GATEWAYS)/bin/python -m pip install --disable-pip-version-check -q -r benchmarks/gateway/requirements.txt >&2; \
	if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix $(GATEWAYS) $(PORTKEY) >&2; \
	else echo "npm is not installed: Portkey is left out" >&2; fi; \
	touch $@

bench-gateway: setup gateways ## measure the gateway beside LiteLLM, Portkey, sglang-router, vllm-router and HAProxy (JSON=1)
	@$(PY) -m benchmarks.gateway $(if $(JSON),--json) $(ARGS)

bench-overload: setup ## ten times more than two endpoints can do, then no endpoint: what the gateway lets through and refuses
	@$(PY) -m benchmarks.gateway.overload $(ARGS)

bench-stores: setup peers ## measure durable steps on SQLite, PostgreSQL and DynamoDB, and DBOS on PostgreSQL (JSON=1)
	@$(PY) -m benchmarks.stores $(if $(JSON),--json) $(ARGS)

bench-spike: setup ## a thousandfold of messages for one agent: what becomes of them, and of its neighbours' times (JSON=1)
	@$(PY) -m benchmarks.spike $(if $(JSON),--json) $(ARGS)

aws-proof: setup ## the checks for a real AWS account, opt-in (REGION=eu-central-1); they have not been run on AWS yet
	@test -n "$(REGION)" || { echo "name the region: make aws-proof REGION=eu-central-1 (it makes and deletes tables and buckets)" >&2; exit 2; }
	@AWS_PROOF_REGION='$(REGION)' AWS_PROOF_ENDPOINT='$(ENDPOINT)' $(PY) -m pytest tests/aws_proof $(ARGS)

valkey-failover: setup ## kill a primary of a real cluster of three shards under load: hit rate, stampede, time to recover
	@$(PY) -m pytest -q -s tests/adapters/valkey/test_failover.py $(ARGS)

db-failover: setup ## kill the primary of three PostgreSQL servers N times (default 20) in each mode, and say what was lost
	@$(PY) -m outlast.drill.failover -n $(N) $(if $(JSON),--json) $(ARGS)

clean: ## remove what the targets made
	rm -rf $(VENV) $(PEERS) $(GATEWAYS) dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
