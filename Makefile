# One virtual environment, .venv, serves every target. Nothing here needs a system package, a model hub or a key.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Bytecode is kept: without it every one of the tests' processes compiles the whole program again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-test demo test lint style types pytest bench results docs dapo-mini clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## make .venv and install vlm-inspect into it

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

install-test: $(VENV)/.installed-test

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -e '.[test]'
	@touch $@

demo: install  ## write demo parts, ask about one scan, print the outcome and the picture's path
	@$(BIN)/vlm-inspect demo demo
	@$(BIN)/vlm-inspect ask demo/screw/missing_thread.ply --rules demo/rules/screw.yaml \
	    --overlay demo/overlay.png --html demo/report.html; \
	    code=$$?; test $$code -eq 1 || { echo "make demo: expected NG (exit 1), got exit $$code" >&2; exit 1; }
	@echo "heatmap: demo/overlay.png   report: demo/report.html"

test: install-test style  ## ruff and import rules, then types and every test side by side
	@$(MAKE) --no-print-directory --jobs 2 types pytest

lint: style types  ## ruff, mypy --strict, import-linter

style: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install-test
	$(BIN)/mypy

# Three processes for two cores: many tests wait for servers, clocks and other processes.
pytest: install-test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

docs: install-test  ## docs/rules.md, docs/json.md and the drawing of imports, from the code
	$(BIN)/python -m recipes.reference_pages

bench: install-test  ## the measurements behind docs/results.md (slow; needs ../shared/data)
	$(BIN)/python -m benchmarks.projection
	$(BIN)/python -m benchmarks.video_memory
	$(BIN)/python -m benchmarks.clips --real $${VLM_INSPECT_DATA:-../shared/data}/ucsd_ped1
	$(BIN)/python -m benchmarks.eyes
	$(BIN)/python -m benchmarks.eye_cost
	$(BIN)/python -m benchmarks.zero_shot dapo-mini rarity
	$(BIN)/python -m benchmarks.localizers
	$(BIN)/python -m benchmarks.dapo_memory
	$(BIN)/python -m benchmarks.pixel_metrics
	$(BIN)/python -m benchmarks.bench_concurrency
	$(BIN)/python -m benchmarks.calibration
	$(BIN)/python -m benchmarks.second_part
	$(BIN)/python -m benchmarks.station
	$(BIN)/python -m benchmarks.fuzz

results: install-test  ## the offline default on real data, into docs/results/bench.md (hours; needs ../shared/data)
	$(BIN)/python -m benchmarks.real_results

dapo-mini: install-test  ## train dapo-mini again (an hour; needs DeepPCB in ../shared/data/deeppcb)
	$(PIP) -e '.[surfaces]'
	$(BIN)/python -m recipes.dapo_mini --boards $${VLM_INSPECT_DATA:-../shared/data}/deeppcb \
	    --out dapo_mini.safetensors --processes 2
	$(BIN)/python -m recipes.dapo_mini.patches --boards $${VLM_INSPECT_DATA:-../shared/data}/deeppcb \
	    --out dapo_mini_patches.safetensors

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache
