# Every target sets up .venv from requirements.lock first, once per lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.complete
OPS := matmul.mkkn_gemm softmax flash_attn.ws3

.PHONY: demo test check bench-engine setup clean

demo: $(STAMP)
	@.venv/bin/tiletwin check $(OPS) --slow
	@echo
	@echo '--- examples/03_read_a_race_report.py: a kernel whose store does not wait for the vector unit ---'
	@.venv/bin/tiletwin check examples/03_read_a_race_report.py --limit 1; test $$? -eq 1

test: $(STAMP)
	$(PY) -m pytest -n 2

# Every operator, every case, every chip it supports.
check: $(STAMP)
	.venv/bin/tiletwin check all --arch all

bench-engine: $(STAMP)
	$(PY) -m bench.engine

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install -qq --requirement requirements.lock
	$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .hypothesis
