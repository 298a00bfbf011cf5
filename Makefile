# make demo   makes .venv, installs, runs the main job
# make bench  measures speed beside the peers, in a quarter of an hour; make bench-gpu on a GPU,
#             make bench-slow what takes long
# make test   makes .venv with the test extra, runs the tests; make test-slow what takes minutes;
#             make test-mutations SINCE=HEAD~5 asks whether they notice small faults in what is new

PYTHON ?= python3
VENV   ?= .venv
SIZE   ?= 1000
OUT    ?= out/demo
BIN    := $(VENV)/bin

.PHONY: demo test test-slow test-mutations lint bench bench-gpu bench-slow clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py --size $(SIZE) --out $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-mutations: $(VENV)/.mutations
	$(BIN)/python tests/mutants.py $(SINCE) $(MUTANTS_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.demo
	$(BIN)/python -m benchmarks --save benchmarks/results
	$(BIN)/python -m benchmarks --table

bench-slow: $(VENV)/.demo
	$(BIN)/python -m benchmarks --slow --save benchmarks/results
	$(BIN)/python -m benchmarks --table

bench-gpu: $(VENV)/.demo
	$(BIN)/python -m benchmarks --gpu --save benchmarks/results/gpu
	$(BIN)/python -m benchmarks --gpu --table

clean:
	rm -rf $(VENV) out

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'rnnjax needs Python 3.11 or newer; call make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

# A stamp per extra: nothing is installed again until pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@
