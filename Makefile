# make demo, make install and make test work on a fresh clone; docs/install.md spells them out without make.
PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
BASELINES = .venv-baselines
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo install test test-browser wheel-check test-nnunet fault-injection fuzz mutation pretrained coverage audit lint clean bench bench-baselines docs docs-figure

demo: $(VENV)/installed
	$(BIN)/python train_ensemble.py --config configs/demo.yaml
	$(BIN)/python analyze_results.py outputs/demo

install: $(VENV)/installed
ifdef GPU
	$(PIP_INSTALL) -r requirements-gpu.txt -c constraints.txt
endif
ifdef FAST
	$(PIP_INSTALL) -r requirements-fast.txt -c constraints.txt
endif

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Debian: apt-get install chromium chromium-driver. REPORT=path checks that report too.
test-browser: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/browser

# The built package, alone in a new environment: predicts, trains, analyses. RUN=path analyses a
# copy of that run too. Downloads every dependency; takes about five minutes.
wheel-check:
	$(PYTHON) tests/campaigns/wheel_check.py $(if $(RUN),--run $(RUN))

# A run's cases and folds to the real nnU-Net and its maps back, in the environment of bench-baselines
# and a few packages more. Takes a few minutes, and 2 GB of disk the first time.
test-nnunet: $(VENV)/installed $(BASELINES)/installed-training
	PYTHONPATH=. $(BIN)/python tests/campaigns/nnunet_round_trip.py --python $(BASELINES)/bin/python

# docs/reliability.md says what these show. KILLS=n
fault-injection fuzz mutation: $(VENV)/installed-dev
	PYTHONPATH=. $(BIN)/python tests/campaigns/$(subst -,_,$@).py $(if $(KILLS),--kills $(KILLS))

# The weights that are shipped, as they are shipped: make pretrained ACDC=/path/to/ACDC CAMUS=/path/to/CAMUS
pretrained: $(VENV)/installed
	PYTHONPATH=. $(BIN)/python tests/support/shipped.py $(if $(ACDC),--acdc $(ACDC)) $(if $(CAMUS),--camus $(CAMUS))

coverage: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov=cardiac_seg --cov-report=term-missing:skip-covered

# Known holes in what is installed; asks pypi.org.
audit: $(VENV)/installed-audit
	$(VENV)-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

$(VENV)/installed-audit: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	touch $@

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# About 20 min on two cores that do nothing else. BENCH="--only training --quick" and the like: --help.
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks $(BENCH)

# nnU-Net, the published networks and this project side by side. RUN="path ..." adds finished ACDC runs
# (outputs/demo where it is there), ROUNDS=n. How torch is chosen: benchmarks/baselines/requirements.txt.
bench-baselines: $(VENV)/installed $(BASELINES)/installed
	$(BIN)/python -m benchmarks.baselines $(if $(RUN),--run $(RUN)) $(if $(ROUNDS),--rounds $(ROUNDS))

$(BASELINES)/installed: benchmarks/baselines/requirements.txt
	$(PYTHON) -m venv $(BASELINES)
	$(BASELINES)/bin/python -m pip install --quiet --disable-pip-version-check torch -c $<
	$(BASELINES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

$(BASELINES)/installed-training: $(BASELINES)/installed tests/campaigns/nnunet/requirements.txt
	$(BASELINES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/campaigns/nnunet/requirements.txt
	touch $@

# The package itself is linked, not copied: $(BIN)/cardiac-seg runs the code that lies here.
$(VENV)/installed: requirements.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.txt -c constraints.txt
	$(PIP_INSTALL) --no-deps --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt requirements-fast.txt
	$(PIP_INSTALL) -r requirements-fast.txt -r requirements-dev.txt -c constraints.txt
	touch $@

# The generated parts of the documentation; a test fails where they differ from the code.
docs: $(VENV)/installed
	PYTHONPATH=. $(BIN)/python docs/generate.py

# The README's figure, from the demo's run: a phantom, never a patient.
docs-figure: $(VENV)/installed
	PYTHONPATH=. $(BIN)/python docs/figure_phantom.py outputs/demo

clean:
	rm -rf $(VENV) $(VENV)-audit outputs/demo outputs/phantoms outputs/cache
