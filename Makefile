# Every step of the project is a target of its own; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Found on the PATH or in the environment first, so that a tool never runs from another project.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1

# uv hard-links from its cache; across file systems it copies, which is no reason for a warning.
export UV_LINK_MODE ?= copy

SAMPLE_USERS ?= 2000
SAMPLE_DAYS ?= 180
SAMPLE_SEED ?= 42

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# --- Installing -------------------------------------------------------------------------------

INSTALLED := $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}: run make PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "Making the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python requirements/uv.txt requirements/warehouse.txt pyproject.toml
	@echo "Installing uv, then the locked requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/warehouse.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
