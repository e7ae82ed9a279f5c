# `make run` shows the whole group at work, `make test` runs all tests, `make check` all static checks.
# Another Python: `make test PYTHON=python3.13` (in its own environment).

PYTHON ?= python3
VENV   ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN    := $(VENV)/bin
ENV    := PYTHONPATH=services:shared:.
TESTS  ?= tests
# Many tests wait: for rTorrent, supervisord, or a bounded condition.
WORKERS ?= $(shell echo $$(($$(nproc) + 4)))
# The targets start thousands of processes. Without cached bytecode each would compile all its modules.
unexport PYTHONDONTWRITEBYTECODE
# Tests that fail run again, one at a time. Those that pass then are unsteady: the end of the first run names them.
RETRY   = $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(TESTS)

.PHONY: help run test test-python314 explore mutants pictures check format bench day chaos chaos-fleet soak dist packages clean
help:           ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pyrotorque needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

packages:       ## install missing Debian packages that the tests need, and other versions beside them
	@sh tests/packages.sh rtorrent promtool prometheus nats-server opentracker nginx openssl patchelf mergerfs bindfs chromium zsh fish
	@sh tests/newer_programs.sh user-mode-linux || echo "without it, real quotas are not tested" >&2
	@$(if $(RTORRENT),,sh tests/newer_programs.sh rtorrent)
	@sh tests/newer_programs.sh prometheus
	@sh tests/newer_programs.sh nats-server

run: $(VENV)/ready ## run the whole group with a private rTorrent in a scratch folder, until Ctrl-C
	@sh tests/packages.sh rtorrent
	@$(BIN)/python -m demo

test: $(VENV)/ready packages ## run all tests, with a real rTorrent, supervisord and Prometheus
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS) || { test $$? = 1 && $(RETRY); }

test-python314: $(VENV)/ready packages ## every test with Debian's Python 3.14, in an environment of its own
	@sh tests/newer_programs.sh python
	.python/forky/root/usr/bin/python3.14 -m venv --without-pip .venv-python3.14
	$(BIN)/python -m pip --python .venv-python3.14/bin/python install --quiet --constraint constraints.txt pip
	.venv-python3.14/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	.venv-python3.14/bin/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

explore: $(VENV)/ready packages ## run the tests of properties with new random examples, ten times (ROUNDS)
	for round in $$(seq $(or $(ROUNDS),10)); do \
		$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=explore -n $(WORKERS) --dist loadgroup $(TESTS) || exit; \
	done

mutants: $(VENV)/ready ## change each comparison, constant and branch of the queue's rules: a test must fail (MODULES)
	$(ENV) $(BIN)/python -m tests.mutants $(MODULES)

pictures: $(VENV)/ready ## make the pictures of docs/panel.md, or of every state and width in a FOLDER
	$(ENV) $(BIN)/python -m tests.panel_pictures $(FOLDER)

check: $(VENV)/ready ## ruff, mypy, pyright, import-linter, codespell, plain English
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=services:shared $(BIN)/lint-imports
	$(BIN)/codespell services shared tests demo chaos benchmarks docs deploy *.md Makefile supervisor.conf
	$(BIN)/python -m tests.prose

format: $(VENV)/ready ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/ready packages .venv-pyrosimple/ready ## run the benchmarks, with pyrosimple and rTorrent alone for comparison
	$(BIN)/python -m benchmarks

day: $(VENV)/ready packages ## a day of a group in twenty minutes, with Prometheus and Alertmanager (DAY_MINUTES)
	@sh tests/packages.sh prometheus-alertmanager
	$(ENV) $(BIN)/python -m demo.day --minutes $(or $(DAY_MINUTES),20)

chaos: $(VENV)/ready packages ## inject faults for ten minutes, then verify all state (CHAOS_SECONDS, CHAOS_SEED, CHAOS_FAULTS)
	$(ENV) $(BIN)/python -m chaos

chaos-fleet: $(VENV)/ready packages ## the same for a fleet of three groups over three nats-servers (CHAOS_METAFILES, CHAOS_FENCE=off)
	$(ENV) $(BIN)/python -m chaos.fleet

soak: $(VENV)/ready packages ## load and kill for half an hour, then check for growth (SOAK_MINUTES, CHAOS_SEED)
	$(ENV) $(BIN)/python -m chaos.soak

.venv-pyrosimple/ready: benchmarks/pyrosimple.txt
	$(PYTHON) -m venv .venv-pyrosimple
	.venv-pyrosimple/bin/python -m pip install --quiet --requirement benchmarks/pyrosimple.txt
	touch $@

dist: $(VENV)/ready ## build wheel and sdist in dist/
	$(BIN)/python -m build

clean:          ## remove environments and caches
	rm -rf .venv .venv-* .rtorrent .prometheus .nats-server .user-mode-linux .python dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
