# `make help` lists what can be done. Needs python3 (3.11 or newer), pip and make; everything else comes by itself.
# Paths here are relative on purpose: the project may lie in a folder whose name holds spaces.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
NAME ?=
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run stop test check e2e bench plans lock clean chromium

# What `make check` runs under: the settings of a real deployment, with keys that are none.
PRODUCTION = DEBUG=false HTTPS=true ALLOWED_HOSTS=shop.example SMPLAT_ENV_FILE=/dev/null SMPLAT_STATE_DIR=.smplat/check \
	SECRET_KEY=only-for-checks-Zm9vYmFyYmF6cXV4-0123456789-abcdefghij \
	UNIT_ID_HASH_KEY=only-for-checks-unit-0123456789 CHECKOUT_API_KEY=only-for-checks-server-0123456789 \
	STOREFRONT_CLIENT_KEY=only-for-checks-client-0123456789

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: .venv/runtime.stamp ## Start everything on this machine (PORT=8000, DEMO=0 for an empty shop); Ctrl-C stops it
	@exec $(BIN)/python manage.py up

stop: .venv/runtime.stamp ## Stop the embedded PostgreSQL that a lone command left running
	@$(BIN)/python -m smplat.embedded stop

test: .venv/dev.stamp tests/clients/node_modules/.stamp ## Run the full test suite (without browser tests) on PostgreSQL and a real broker
	@$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --ignore=tests/e2e --ignore=tests/benchmarks $(ARGS)

check: .venv/dev.stamp ## Check formatting, lint, import contracts, types, templates, deployment settings, migrations, API
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports --no-logo
	$(PRODUCTION) $(BIN)/python -m mypy
	$(BIN)/python -m djlint --check --quiet smplat catalog_experiments storefront notifications
	$(BIN)/python -m djlint --lint --quiet smplat catalog_experiments storefront notifications
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(PRODUCTION) $(BIN)/python manage.py makemigrations --check --dry-run; code=$$?; \
		$(PRODUCTION) $(BIN)/python -m smplat.embedded stop; exit $$code
	$(PRODUCTION) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(PRODUCTION) $(BIN)/python manage.py write_reference --check

e2e: .venv/dev.stamp chromium ## Run the browser tests (installs Debian's chromium when missing)
	@$(BIN)/python -m pytest -p no:randomly tests/e2e $(ARGS)  # its tests tell one story, in order

bench: .venv/dev.stamp ## Measure against the goals (NAME=group for one); table here, rows in .smplat/bench.json
	@$(BIN)/python -m tests.benchmarks $(NAME)

plans: .venv/dev.stamp ## Write the list of query plans in docs/explanation anew, at a million exposures
	@$(BIN)/python -m tests.plans

lock: .venv/dev.stamp ## Make requirements/*.txt anew from requirements/*.in
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv
	cd requirements && for name in runtime dev; do ../$(BIN)/python -m uv pip compile --quiet --upgrade --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url $$name.in -o $$name.txt || exit 1; done

clean: ## Stop the embedded PostgreSQL; remove .venv, caches and all local data, the demo's database too
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m smplat.embedded remove || true; fi
	rm -rf .venv .smplat tests/clients/node_modules staticfiles .coverage htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

chromium:
	@if command -v chromium >/dev/null; then exit 0; \
	elif [ "$$(id -u)" = 0 ]; then run=; \
	elif sudo -n true 2>/dev/null; then run=sudo; \
	else echo "The browser tests need chromium: install it (apt-get install chromium), or run this as root." >&2; exit 1; fi; \
	echo "installing chromium"; \
	$$run apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq --no-install-recommends chromium >/dev/null

# A stamp says that the environment holds what the lock beside it names.
.venv/runtime.stamp: requirements/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "installing what the system needs (once)"
	@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/runtime.stamp
	@echo "installing what tests and checks need (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# The npm clients that tests run against the web server.
tests/clients/node_modules/.stamp: tests/clients/package-lock.json
	@command -v npm >/dev/null || { echo "The tests run JavaScript clients: install Node 20 or newer, with npm." >&2; exit 1; }
	@echo "installing the JavaScript clients that tests run (once)"
	@cd tests/clients && npm ci --no-audit --no-fund --silent
	@touch $@
