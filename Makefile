# Every target sets up what it needs, once: python3 >= 3.11, make and the
# package registry are all that a bare checkout asks for. A second Python is
# `make test PYTHON=python3.12 VENV=.venv312`.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
WORKDIR ?= runs/demo

python := $(VENV)/bin/python
pins := setup.cfg pyproject.toml constraints.txt

.PHONY: help demo demo-cascade test lint bench clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    train, delegate and compare on real Wikipedia text'
	@echo 'make demo-cascade  then: write with SmolLM2 as the partner'
	@echo 'make test    the whole test suite'
	@echo 'make lint    ruff, check and format'
	@echo 'make bench   beside their peers, into docs/results'
	@echo 'make clean   remove $(VENV) and caches, but neither data nor runs'
	@echo 'Variables:   PYTHON=$(PYTHON) VENV=$(VENV) WORKERS=$(WORKERS)' \
	  'WORKDIR=$(WORKDIR)'

demo: $(VENV)/annotate.stamp
	$(python) -m launch.sweep --config=configs/lacy/wiki.py:demo \
	  --workdir=$(WORKDIR)

demo-cascade: $(VENV)/annotate.stamp
	$(python) -m launch.evaluate --config=configs/lacy/cascade.py:demo \
	  --config.cascade.runs=$(WORKDIR) --workdir=runs/cascade

test: $(VENV)/test.stamp
	$(python) -m pytest -q -n $(WORKERS) --maxprocesses=8 --dist=worksteal \
	  tests

lint: $(VENV)/test.stamp
	$(python) -m ruff check .
	$(python) -m ruff format --check .

bench: $(VENV)/annotate.stamp $(VENV)/bench.stamp
	$(python) -m benchmarks.train_step --out=docs/results/train_step.json
	$(python) -m benchmarks.annotate --out=docs/results/annotate.json
	$(python) -m benchmarks.logits --out=docs/results/logits.json
	$(python) -m benchmarks.tokens --out=docs/results/tokens.json
	$(python) -m benchmarks.decode --out=docs/results/decode.json
	$(python) -m benchmarks.diffusion --out=docs/results/diffusion_speed.json
	$(python) -m benchmarks.probes --out=docs/results/probes_speed.json
	$(python) -m benchmarks.calibration --out=docs/results/calibration_speed.json

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build socratic.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment, a stamp for each extra: asking again installs nothing.
$(VENV)/%.stamp: $(pins) | $(VENV)/made.stamp
	@echo 'installing socratic[$*] into $(VENV) (a minute or two)'
	@$(python) -m pip install --quiet --disable-pip-version-check \
	  -e '.[$*]' -c constraints.txt
	@touch $@

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    2> /dev/null || { \
	  echo 'Python >= 3.11 was expected as PYTHON=$(PYTHON), which is' \
	    "$$($(PYTHON) --version 2> /dev/null || echo missing);" \
	    'name another: make PYTHON=python3.12'; \
	  exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo 'python3 -m venv needs the module ensurepip, which $(PYTHON) has' \
	    'not; install it (on Debian and Ubuntu: apt install python3-venv)'; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
