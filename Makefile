# One environment for everything. `make` alone lists what there is.

VENV ?= .venv
PYTHON ?= python3

STAMP := $(VENV)/.installed
IN_VENV := $(VENV)/bin/python
BENCH := benchmarks/.venv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test test-all test-faults lint bench bench-portal browser screenshots clean

help: ## list the commands
	@echo "Usage: make COMMAND [VENV=$(VENV)] [PYTHON=$(PYTHON)]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name text; do printf '%-16s%s\n' "$$name" "$$text"; done

env: $(STAMP) ## make the Python environment; the other commands do so by themselves
	@echo "$(VENV) is ready."

demo: $(STAMP) ## tune a small PyTorch network on this machine, from nothing to its best configuration
	@$(IN_VENV) examples/demo.py

lint: $(STAMP) ## check style and types
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check
	$(IN_VENV) -m mypy

browser: $(STAMP) ## see that there is a Chromium for the portal's tests; installs one where that can be done
	@$(IN_VENV) -m tests.portal.install_browser

# Many tests wait, for processes or for a browser: two halves beside each other end sooner than one after the other.
# The browser's come last of theirs, since its event loop stays in the process.
HALF := tests/compute tests/contracts tests/analysis tests/api tests/portal
TESTS := $(IN_VENV) -m pytest -m "not heavy"

test: lint browser ## lint, then all tests that take seconds
	@log=$$(mktemp); \
	$(TESTS) -p no:cacheprovider $(HALF) >"$$log" 2>&1 & half=$$!; \
	trap 'kill $$half; rm -f "$$log"; exit 130' INT TERM; \
	$(TESTS) $(addprefix --ignore=,$(HALF)); others=$$?; \
	wait $$half; seen=$$?; \
	cat "$$log"; rm -f "$$log"; \
	[ $$others = 0 ] && [ $$seen = 0 ]

test-all: lint browser ## lint, then all tests, those that take minutes too
	$(IN_VENV) -m pytest

test-faults: $(STAMP) ## kill, stop and cut off whatever runs for 20 minutes at most, and look for what was lost; FAULTS_SEED=1
	$(IN_VENV) -m tests.faults

bench: $(BENCH)/.installed ## measure trials per second beside other tuners, in an environment of its own
	$(BENCH)/bin/python -m benchmarks.throughput

bench-portal: $(BENCH)-portal/.installed browser ## measure the portal's pages in a browser, beside optuna-dashboard
	$(IN_VENV) -m benchmarks.portal --peer-python $(BENCH)-portal/bin/python

screenshots: browser ## make the pictures of the portal in docs/images
	$(IN_VENV) -m tests.portal.screenshots

clean: ## remove the environments and all caches
	@# Only what this file made: VENV may have been pointed at somebody's own environment.
	@if [ -f "$(VENV)/.made-by-make" ]; then echo 'rm -rf "$(VENV)"'; rm -rf "$(VENV)"; fi
	rm -rf $(BENCH) $(BENCH)-portal .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist spark-warehouse
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ---------------------------------------------------------------------------------------------

# Renewed when the dependencies change. An environment that works is kept, so that a renewal installs only what is new.
# torch goes first, by exact version: every machine then trains with the same build.
$(STAMP): pyproject.toml Makefile
	@$(make_venv)
	@echo "Installing into $(VENV); the first time takes some minutes and about 4 GB."
	@$(IN_VENV) -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	@$(IN_VENV) -m pip install --quiet --disable-pip-version-check -e '.[examples,test]'
	@touch $@

# The tuners that are measured against are no part of the product, so they stay out of its environment.
$(BENCH)/.installed: $(STAMP) benchmarks/requirements.txt
	@$(IN_VENV) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e . -r benchmarks/requirements.txt
	@touch $@

# optuna-dashboard alone: the benchmark itself runs with the service's own Python, and a browser of the tests'.
$(BENCH)-portal/.installed: $(STAMP) benchmarks/portal/requirements.txt
	@$(IN_VENV) -m venv $(BENCH)-portal
	@$(BENCH)-portal/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/portal/requirements.txt
	@touch $@

supported := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

# Debian ships python3 without ensurepip, in a package of its own, named after the version.
define make_venv
set -e; \
"$(IN_VENV)" -c '$(supported)' 2>/dev/null && "$(IN_VENV)" -m pip --version >/dev/null 2>&1 && exit 0; \
python=; \
for candidate in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	if "$$candidate" -c '$(supported)' 2>/dev/null; then python="$$candidate"; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is: $$("$(PYTHON)" --version 2>&1 || true)" >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	package=$$("$$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'); \
	if ! command -v apt-get >/dev/null; then as_root=none; \
	elif [ "$$(id -u)" = 0 ]; then as_root=; \
	elif command -v sudo >/dev/null; then as_root=sudo; \
	else as_root=none; fi; \
	if [ "$$as_root" = none ]; then \
		echo "$$python cannot make virtual environments. As root, run: apt-get install -y $$package" >&2; \
		exit 1; \
	fi; \
	echo "Installing $$package, which $$python needs to make virtual environments."; \
	$$as_root apt-get update -qq; \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$package; \
fi; \
echo "Making $(VENV) with $$("$$python" --version)."; \
"$$python" -m venv "$(VENV)"; \
touch "$(VENV)/.made-by-make"
endef
