# `make demo` and `make test` do everything from a fresh checkout: the first run makes .venv, later ones reuse it.
# Another interpreter: make clean; make test PYTHON=python3.12

PYTHON ?= python3
# Arguments for pytest, as in: make test TESTS="tests/planner -x"
TESTS ?= -n auto
# Arguments for make test-kernels, as in: make test-kernels KERNELS="--kernel 6.1 --suite specs"
KERNELS ?=
# The tests that need no privilege and nothing of the kernel.
UNIT := tests/planner tests/cli/test_apply_cmd.py tests/cli/test_check_cmd.py tests/cli/test_plan_cmd.py tests/cli/test_run_cmd.py
UNIT += tests/cli/test_import_cmd.py tests/cli/test_inputs.py tests/cli/test_parser.py tests/cli/test_planning.py
UNIT += tests/applier/test_abi.py tests/applier/test_execute.py tests/test_api.py tests/test_inherited.py tests/test_workflow.py
# Arguments for make users, as in: make users USERS="--as user -q tests/cli"
USERS ?= -q -n auto
# How many random states `make fuzz` tries, sequences `make fuzz-model`, and plans `make fuzz-plans`.
N ?= 100000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
.DEFAULT_GOAL := help
.PHONY: pyright mypy ruff-check ruff-format lint-imports
.PHONY: help demo test unit users users-here test-kernels test-without test-fleet check docs bench bench-quick fuzz faults fuzz-model fuzz-scripts fuzz-shells debian-scripts fuzz-plans agree live refusals mutants coverage clean test-packages

help:
	@echo 'make demo      apply specs/hello.toml and show the tree'
	@echo 'make test      run the tests on the real kernel'
	@echo 'make test-packages  install the archive of the sources, by pipx and as a Debian package'
	@echo 'make unit      run the tests that need no kernel: less than a minute'
	@echo 'make users     run the tests as root, as ordinary users and in the background, here and on Debian 13'
	@echo 'make test-kernels  boot Linux 6.1 and 6.12 by emulation and run the tests there; takes hours, and 1 GB in build/'
	@echo 'make test-without  run the tests of the kernel without its young system calls'
	@echo 'make test-fleet  run the tests of the Ansible collection and of the manifests, with Ansible from PyPI'
	@echo 'make check     ruff, mypy, pyright, import contracts'
	@echo 'make docs      the pages of docs/ as a site, in build/site'
	@echo 'make bench     time every phase; takes minutes'
	@echo 'make bench-quick  whole commands beside C, crun and bwrap, as ratios: less than a minute'
	@echo 'make fuzz N=10000          capture random states, build them again, and compare'
	@echo 'make faults    kill and refuse at every call of builds, with every errno; takes an hour'
	@echo 'make fuzz-model N=100000  compare the model of propagation with the kernel on random calls'
	@echo 'make fuzz-scripts N=1000  random shell scripts in the model and by the real programs'
	@echo 'make fuzz-shells N=1000  random scripts of control flow in the model and by the real shells'
	@echo 'make debian-scripts  shell scripts of Debian 12 in the model and by the real programs'
	@echo 'make agree N=10000  build random valid specs and hold them against a second reader of specs'
	@echo 'make live N=2000   change trees that stand into random others, and hold each against a new build'
	@echo 'make refusals  every command with each of its system calls refused, as root and as a user; takes an hour, as root'
	@echo 'make fuzz-plans N=10000    change saved plans by chance, and try to carry them out'
	@echo 'make mutants   change the code in small ways and count what the tests notice; takes most of an hour'
	@echo 'make coverage  run the tests and list the lines that none of them reached'
	@echo 'make clean     remove .venv and all that was built or cached'

demo: $(VENV)/installed
	$(BIN)/mountplan plan specs/hello.toml
	$(BIN)/mountplan apply --forget specs/hello.toml

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TESTS)

# What is installed: the archive of the sources, the wheel by pipx, a Debian package. Fetches what mountplan imports.
test-packages: $(VENV)/installed-dev
	MOUNTPLAN_PACKAGES=1 $(BIN)/python -m pytest -q tests/test_installing.py

# What Python compiles is kept, in build/, also for who wants nothing of it beside the sources: it took a fifth of the time.
unit: $(VENV)/installed-dev
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/build/bytecode \
	    $(BIN)/python -m pytest -q -n auto -m "not needs_kernel" $(UNIT)

users: $(VENV)/installed-dev
	@failed=0; for where in '' --debian13; do $(BIN)/python -m tests.users $$where $(USERS) || failed=1; done; exit $$failed

users-here: $(VENV)/installed-dev
	$(BIN)/python -m tests.users $(USERS)

# Debian's kernels, unpacked into build/kernels; qemu and virtme-ng are fetched too if they are missing. docs/kernels.md
test-kernels: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernels $(KERNELS)

# The tests of the real kernel without its young calls, as behind an old seccomp profile: one by one, and without all.
WITHOUT := statmount listmount open_tree_attr statmount=EPERM listmount=EPERM open_tree_attr=EPERM
WITHOUT += statmount,listmount,open_tree_attr statmount=EPERM,listmount=EPERM,open_tree_attr=EPERM
test-without: $(VENV)/installed-dev
	@failed=; for calls in $(WITHOUT); do \
	    echo "without $$calls"; \
	    MOUNTPLAN_WITHOUT=$$calls $(BIN)/python -m pytest -q -n auto tests/kernel tests/applier || failed="$$failed $$calls"; \
	done; \
	if [ "$$failed" ]; then echo "tests failed without:$$failed" >&2; exit 1; fi

# Ansible wants versions of its own, so it has an environment of its own. docs/fleet.md
FLEET := .venv-fleet
test-fleet: $(VENV)/installed-dev $(FLEET)/installed
	MOUNTPLAN_FLEET=1 $(BIN)/python -m pytest -n auto tests/fleet tests/kernel/test_hooks.py

# Side by side, as each of them takes one core; all are run, whichever fails.
CHECKS := pyright mypy ruff-check ruff-format lint-imports
check: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory --keep-going --output-sync --jobs 2 $(CHECKS)

pyright:
	$(BIN)/pyright
mypy:
	$(BIN)/mypy
ruff-check:
	$(BIN)/ruff check
ruff-format:
	$(BIN)/ruff format --check
lint-imports:
	$(BIN)/lint-imports

# The pages of docs/ as a site, in build/site.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/installed-dev
	$(BIN)/python bench/phases.py
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/capture.py
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/kept_names.py

bench-quick: $(VENV)/installed-dev
	$(BIN)/python bench/ratios.py

# Other states every time; the seeds are printed, and failing states as the shortest list of acts that fails.
fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.capture_fuzz --states $(N)

# Other sequences every time; the seeds are printed. Differences are shown as the shortest sequences that have them.
fuzz-model: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.model_fuzz --sequences $(N) --jobs 4
	$(BIN)/python -m tests.kernel.model_processes --sequences $$(( $(N) / 50 ))

# Debian's scripts that mount something, held against the real programs. On Debian 12; fetches packages into build/.
fuzz-shells: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.script_fuzz --shells --scripts $(N)

debian-scripts: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.debian_scripts build/debian --fetch

fuzz-scripts: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.script_fuzz --scripts $(N)

# Other changes every time; the seeds are printed, and what fails is told with the change. The suite tries a sample.
fuzz-plans: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.plan_fuzz --plans $(N)

# The suite tries a sample of this.
agree: $(VENV)/installed-dev
	$(BIN)/python -m tests.kernel.agreement --specs $(N)

# Changes of trees that stand, generated: of N pairs of specs the one is changed into the other.
live: $(VENV)/installed-dev
	unshare --mount --propagation private $(BIN)/python -m tests.kernel.live_fuzz --pairs $(N)

# The suite tries a sample of this.
faults: $(VENV)/installed-dev
	MOUNTPLAN_FAULTS=all $(BIN)/python -m pytest -n auto tests/applier/test_faults.py tests/applier/test_keeper.py tests/applier/test_kept_interrupted.py tests/applier/test_live_faults.py

# The suite tries a sample of this.
refusals: $(VENV)/installed-dev
	$(BIN)/python -m tests.refusals

# A fixed sample; the least figure that passes is in tests/mutants/figures.toml. HALF=applier needs root.
mutants: $(VENV)/installed-dev
	$(BIN)/python -m tests.mutants $(or $(HALF),planner)

coverage: $(VENV)/installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered

clean:
	rm -rf $(VENV) $(FLEET) build dist *.egg-info .coverage .coverage.* .hypothesis .import_linter_cache
	rm -f applier/sys/_loop*.so planner/tables/_columns*.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache bench/floor bench/out
	find . -name __pycache__ -prune -exec rm -rf {} +

# The files `created`, `installed` and `installed-dev` say that a step is done, so that it is not done again.
$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'mountplan needs Python 3.11 or later, and "$(PYTHON)" is not that;' >&2; \
	    echo 'name another interpreter: make PYTHON=python3.12' >&2; exit 1; }
	@# Debian has venv without ensurepip: the half that matters is a package of its own.
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        echo "installing $$package, without which $(PYTHON) cannot make a virtual environment"; \
	        export DEBIAN_FRONTEND=noninteractive; \
	        apt-get -qq update && apt-get -qq install -y --no-install-recommends "$$package" </dev/null >/dev/null; \
	    else \
	        echo "$(PYTHON) cannot make a virtual environment without ensurepip; on Debian and Ubuntu:" >&2; \
	        echo "    sudo apt-get install $$package" >&2; \
	        echo 'then run make again' >&2; exit 1; \
	    fi; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml setup.py applier/sys/_loop.c planner/tables/_columns.c
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed-dev
	$(PIP) --editable '.[docs]'
	@touch $@

$(FLEET)/installed: contrib/ansible/requirements.txt
	@rm -rf $(FLEET)
	$(PYTHON) -m venv $(FLEET)
	$(FLEET)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@
