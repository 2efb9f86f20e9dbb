# `make` lists the targets. Settings: PYTHON (3.11 or newer), CORES, GPU_JOBS (GPU jobs at a time; default: the GPUs, else CORES).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?=
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
GPU_JOBS ?=

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)
CHECKS := lint types rules unit workflow browser latex ddranking downstream slurm faults

.PHONY: help env demo test oldest coverage lock clean $(CHECKS)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "make NAME      one part of the tests: $(CHECKS)"

env: ## create .venv, or bring it up to date, from requirements.lock
	@python=$$(scripts/find-python.sh env); "$$python" scripts/environment.py

demo: env ## run the whole workflow on the embedded data set; prints the accuracy table and where the report is
	@gpus=$(GPU_JOBS); \
	: "$${gpus:=$$(python -c 'import torch; print(torch.cuda.device_count() or $(CORES))')}"; \
	set -x; \
	snakemake all --cores $(CORES) --resources gpu="$$gpus" --quiet host reason; \
	snakemake --report results/snakemake-report.html; \
	bacon table
	@echo "Report: $(CURDIR)/results/report.html (Snakemake's own: results/snakemake-report.html)"

test: env ## run every check: lint, types, rules, unit, workflow, a browser, LaTeX, DD-Ranking, SLURM (as root), faults; CI runs this
	@tests/run.sh

$(CHECKS): env
	@tests/run.sh $@

oldest: ## the unit tests with the oldest PyTorch that the project runs on, in an environment of its own (several GB)
	@tests/run.sh oldest

coverage: env ## the unit tests once more, and which lines of the package they reach
	@tests/run.sh coverage

lock: ## renew requirements.lock from pyproject.toml (ARGS=--upgrade takes new versions)
	@scripts/lock.sh $(ARGS)

clean: ## remove caches (results and .venv stay)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov build *.egg-info
	@find bacon tests workflow scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
