# The commands of a checkout. Nothing has to be installed by hand: each target makes .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What a user gives reaches the commands through the environment, as it was typed: a path may hold
# spaces, quotes, dollar signs and any letters.
OUT ?= out
DEVICE ?= auto
override CT := $(value CT)
override OUT := $(value OUT)
override WEIGHTS := $(value WEIGHTS)
override DEVICE := $(value DEVICE)
export CT OUT WEIGHTS DEVICE

PYTHON := .venv/bin/python

.PHONY: help setup segment test test-quick lint fuzz bench train-demo test-slicer-5.12 test-python-3.12 test-torch-2.2

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv with everything (quick when it is there)
	@Testing/tools/setup.sh

segment: setup ## Segment a CT through the module: CT=file-or-DICOM-folder OUT=folder WEIGHTS=id-or-file DEVICE=auto
	@PYTHONPATH=Testing:IUINetSegmentation $(PYTHON) -m harness.segment

test: setup ## Everything a change must pass
	@Testing/tools/setup.sh --browser
	@Testing/tools/run_tests.sh

test-quick: setup ## The same without the long ones: lint, unit, MRML, one click in the panel, one tiny training
	@Testing/tools/run_tests.sh lint unit mrml panel/test_click.py training/test_train.py

lint: setup ## The style check alone
	@Testing/tools/run_tests.sh lint

fuzz: setup ## Ten thousand damaged, lying and hostile inputs, and a table of what became of them
	@PYTHONPATH=Testing:Training:IUINetSegmentation $(PYTHON) -m fuzz

bench: setup ## Measure: complexity on real tensors, speed, memory, what the geometry costs
	@for bench in Testing/bench/bench_*.py; do \
	  echo "== $$bench =="; PYTHONPATH=Testing:Training:IUINetSegmentation $(PYTHON) "$$bench"; \
	done

train-demo: setup ## A whole training on generated data in the official layout, in runs/demo (minutes)
	@$(PYTHON) Training/demo.py

test-slicer-5.12: ## The MRML tests on the MRML classes of Slicer 5.12
	@Testing/tools/setup.sh --venv .venv-slicer-5.12 --slicer-core 5.12.4
	@Testing/tools/run_tests.sh --venv .venv-slicer-5.12 mrml

test-python-3.12: ## What needs no torch, on Slicer's Python
	@if Testing/tools/setup.sh --venv .venv-python-3.12 --python 3.12 --without-torch; then \
	  Testing/tools/run_tests.sh --venv .venv-python-3.12 unit mrml; \
	else \
	  status=$$?; [ $$status = 3 ] && echo "The tests on Python 3.12 were not run." || exit $$status; \
	fi

test-torch-2.2: ## Inference on the oldest torch, the last one for Slicer on macOS (gigabytes, minutes)
	@Testing/tools/setup.sh --venv .venv-torch-2.2 --torch 2.2.2
	@Testing/tools/run_tests.sh --venv .venv-torch-2.2 unit/test_network.py unit/test_fast.py unit/test_shift.py \
	  unit/test_dyfc.py unit/test_preprocessing.py unit/test_upsampling.py unit/test_refine.py unit/test_weights.py \
	  unit/test_inference.py unit/test_ladder.py end_to_end/test_worker.py panel/test_click.py
