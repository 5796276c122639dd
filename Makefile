# Needs Python 3.11 or newer, git and make; everything else is installed into backend/.venv.
.DEFAULT_GOAL := help
.PHONY: help up demo test test-unit test-fast test-containers test-rules test-kills test-storms test-majors test-floors test-floors-unit test-oldest test-newest test-chains test-slow-readers test-patience test-release lint bench bench-check bench-start-up clean

PYTHON ?= python3
TOOLS := .cache/tools
UV := $(abspath $(TOOLS))/bin/uv
RUN := cd backend && .venv/bin/
FAST := not containers and not kills and not rules and not chains and not slow_readers
# The tests of the engine's modules. One that starts a server has the mark `server`.
UNIT := engine/tests --ignore=engine/tests/acceptance --ignore=engine/tests/chains -m "$(FAST) and not server"

help:  ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 27

up: backend/.venv/.up  ## Start Recaller on http://localhost:8000, with an embedded PostgreSQL
	@exec backend/.venv/bin/python -m recaller.dev

demo: backend/.venv/.up  ## Fill the database of `make up` (in another terminal): make demo PEOPLE=1000
	@test -f .data/env || { echo "Start the service first, in another terminal: make up"; exit 1; }
	@. ./.data/env && backend/.venv/bin/python -m recaller.demo --people $(or $(PEOPLE),1000)

test: lint test-fast test-containers  ## Run all checks and tests; those of containers when a Docker engine answers

test-unit: backend/.venv/.done  ## Run the tests that need no PostgreSQL server, in seconds
	$(RUN)python -m pytest -q $(UNIT) $(ARGS)

test-fast: backend/.venv/.done  ## Run the tests that need no Docker engine
	$(RUN)python -m pytest -q -n 3 --dist worksteal -m "$(FAST)" $(ARGS)

test-rules: backend/.venv/.done  ## Try each rule of `liftlock check`, and each statement of the table of locks
	$(RUN)python -m pytest -q -n 2 --dist worksteal -m rules $(ARGS)

test-kills: backend/.venv/.done  ## Run each operation on real tables: as Alembic does it, killed at each step, against held locks
	$(RUN)python -m pytest -q -n 3 --dist worksteal -m "kills and not slow_readers" $(ARGS)

test-storms: test-kills  # the former name

test-containers: backend/.venv/.done  ## Run the tests of the containers
	$(RUN)python -m pytest -q -m containers $(ARGS)

test-majors: backend/.venv/.done  ## Run the tests of the operations on PostgreSQL 13 to 17 as well (needs npm)
	$(RUN)python -c 'import sys; sys.path.insert(0, "engine/tests"); import majors; print(*map(majors.programs_of, majors.VERSIONS), sep="\n")'
	for major in 13 14 15 16 17; do $(RUN)python -m pytest -q -n 3 --dist worksteal engine/tests -m "" -k "every_major or test_observer or test_lock_observer" --postgres $$major $(ARGS) && cd .. || exit 1; done

test-slow-readers: backend/.venv/.done  ## Run each operation beside a reader of 10 s that comes back each second
	$(RUN)python -m pytest -q -n 6 --dist worksteal -m slow_readers --timeout 900 $(ARGS)

test-patience: test-slow-readers  # the former name

test-release: backend/.venv/.done  ## Run the tests of the last release's API on this schema: RELEASE=origin/main
	backend/.venv/bin/python .ci/last_release.py $(or $(RELEASE),origin/main)

test-floors: test-floors-unit  ## Run the engine's tests on the lowest versions that both pyproject.toml declare
	$(FLOORS)python -m pytest -q -n 3 --dist worksteal -m "$(FAST)" engine/tests/acceptance $(ARGS)

test-floors-unit: .cache/floors/.done  ## Run only those of them that need no PostgreSQL server
	$(FLOORS)python -m pytest -q $(UNIT) $(ARGS)

test-oldest: .cache/oldest/.done  ## Run tests of liftlock alone: its oldest Alembic, SQLAlchemy 1.4, by psycopg2
	$(OLDEST)python -m pytest -q $(UNIT) $(ARGS)
	$(OLDEST)python -m pytest -q -n 3 --driver=psycopg2 engine/tests/acceptance/test_upgrade.py $(ARGS)

test-newest: .cache/newest/.done  ## Run the tests that need no Docker engine on the newest versions and Python 3.14
	$(NEWEST)python -m pytest -q -n 3 --dist worksteal -m "$(FAST)" $(ARGS)

test-chains: export UV := $(UV)
test-chains: backend/.venv/.done  ## Run the chains that well-known projects ship in their wheels (installs them from PyPI)
	$(RUN)python -m pytest -q -m chains --timeout 1800 $(ARGS)

lint: backend/.venv/.done  ## Check every file that a tool can check
	backend/.venv/bin/python .ci/lint.py

bench: bench-start-up bench-check  ## Measure, side by side with what one would use instead: ROWS=1000000 STARTS=3
	backend/.venv/bin/python benchmarks/online_work.py --rows $(or $(ROWS),1000000)
	backend/.venv/bin/python benchmarks/live_traffic.py --rows $(or $(ROWS),1000000) --starts $(or $(STARTS),3) --report docs/benchmarks/live-traffic.json
	$(SYNC) --group bench --inexact
	backend/.venv/bin/python benchmarks/plots.py docs/benchmarks docs/benchmarks.md

bench-start-up: backend/.venv/.done  ## Measure only what liftlock costs a container's start
	backend/.venv/bin/python benchmarks/start_up.py

bench-check: backend/.venv/.done  ## Measure only a check of one new revision on a chain of 300
	backend/.venv/bin/python benchmarks/check.py

clean:  ## Remove what was made here, except the data of `make up`
	rm -rf .cache backend/.venv backend/liftlock.json backend/snapshot.sql

SYNC = cd backend && $(UV) sync --frozen --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
LOCKED := backend/uv.lock backend/pyproject.toml backend/engine/pyproject.toml
# Environments with other versions than those of the lock file. uv finds or downloads their Pythons.
FLOORS = cd backend && ../.cache/floors/bin/
OLDEST = cd backend && ../.cache/oldest/bin/
NEWEST = cd backend && ../.cache/newest/bin/
VENV = cd backend && $(UV) venv --quiet --clear ../$(@D) --python
INSTALL = cd backend && VIRTUAL_ENV=$(abspath $(@D)) $(UV) pip install --quiet

backend/.venv/.up: $(LOCKED) $(TOOLS)/.done
	$(SYNC) --no-default-groups --group proof --inexact
	@touch $@

backend/.venv/.done: $(LOCKED) $(TOOLS)/.done
	$(SYNC)
	@touch $@ backend/.venv/.up

# uv takes the dependencies of editable packages as direct ones, and leaves uv.lock as it is.
.cache/floors/.done: $(LOCKED) $(TOOLS)/.done
	$(VENV) 3.11
	$(INSTALL) --resolution lowest-direct --editable './engine[check]' --editable . --group dev
	@touch $@

.cache/oldest/.done: $(LOCKED) $(TOOLS)/.done
	$(VENV) 3.11
	$(INSTALL) --resolution lowest-direct --editable './engine[check]' --group test
	@touch $@

.cache/newest/.done: $(LOCKED) $(TOOLS)/.done
	$(VENV) 3.14
	$(INSTALL) --editable './engine[check]' --editable . --group dev
	@touch $@

$(TOOLS)/.done: backend/requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.13 …"; exit 1; }
	@$(PYTHON) -m venv $(TOOLS) || { echo "This Python can't make virtual environments (on Debian: apt-get install python3-venv)."; exit 1; }
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check -r backend/requirements-uv.txt
	@touch $@
