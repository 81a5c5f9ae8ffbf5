# Every step of the project is a target of its own; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# This environment comes first on the PATH, so that no tool of another project runs.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1

# Without this, uv warns if its cache is on another file system.
export UV_LINK_MODE ?= copy

SAMPLE_USERS ?= 2000
SAMPLE_DAYS ?= 180
SAMPLE_SEED ?= 42

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z][a-z0-9.-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# --- Installing -------------------------------------------------------------------------------

INSTALLED := $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}: run make PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "Creating the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python requirements/uv.txt requirements/warehouse.txt pyproject.toml
	@echo "Installing uv, then the locked requirements"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/warehouse.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@# The first import writes bytecode, unless the environment forbids it; then every run of dbt would compile it again.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import dbt.cli.main, dbt.adapters.postgres, psycopg, pytest'
	@touch $@

.PHONY: setup
setup: $(INSTALLED)  ## Install everything into .venv, and the dbt packages
	@$(BIN)/python -m warehouse.setup.packages

.PHONY: lock
lock: $(INSTALLED)  ## Resolve requirements/*.in into the locked files
	@for name in uv warehouse dbt-1.11 metrics spark bench-sqlmesh bench-dbt-duckdb s3 moto; do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
			--upgrade --excludes requirements/excluded.txt requirements/$$name.in --output-file requirements/$$name.txt; \
	done

# --- The warehouse ----------------------------------------------------------------------------

.PHONY: up
up: setup  ## Start the embedded PostgreSQL
	@$(BIN)/warehouse up

.PHONY: down
down:  ## Stop the embedded PostgreSQL
	@if [ -x $(BIN)/warehouse ]; then $(BIN)/warehouse down; fi

.PHONY: sample
sample: setup  ## Generate the sample, once
	@if [ -f sample/truth.json ] && [ -n "$(findstring command line,$(origin SAMPLE_USERS) $(origin SAMPLE_DAYS) $(origin SAMPLE_SEED))" ]; then echo "The folder sample/ exists, and SAMPLE_USERS, SAMPLE_DAYS and SAMPLE_SEED have no effect on it: remove it first (rm -r sample)."; exit 2; fi
	@if [ ! -f sample/truth.json ]; then $(BIN)/warehouse sample --users $(SAMPLE_USERS) --days $(SAMPLE_DAYS) --seed $(SAMPLE_SEED) --end-date "$$(date -u +%F)" --out sample; fi

.PHONY: load
load: up sample  ## Load the sample into schema raw
	@$(BIN)/warehouse load sample

.PHONY: build
build: up  ## Build the warehouse and test its data, then list the marts
	@$(BIN)/warehouse build

# The demo refuses to run on a server that PGHOST or a profile chooses: its users are invented.
.PHONY: demo
demo: setup  ## From a clone to marts: install, start, generate, load, build, list; embedded server only
	@$(BIN)/warehouse up --embedded
	@$(MAKE) sample
	@$(BIN)/warehouse load sample
	@$(BIN)/warehouse build

.PHONY: docs
docs: up  ## Generate dbt's documentation and lineage into target/
	@$(BIN)/dbt docs generate --static
	@echo "Open target/static_index.html, or run: $(BIN)/dbt docs serve"

# --- Checking ---------------------------------------------------------------------------------

.PHONY: lint
lint: setup  ## Run sqlfluff, ruff and yamllint
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint-yaml lint-sql
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: lint-sql lint-yaml
# sqlfluff's own --processes sends whole syntax trees from process to process, which costs a third of the lint.
lint-sql:
	@find models tests/integrity tests/macros analyses -name '*.sql' | sort | xargs -P 2 -n 23 $(BIN)/sqlfluff lint --disable-progress-bar
lint-yaml:
	@$(BIN)/yamllint --strict .

.PHONY: privacy
privacy: up  ## Check that no role may read personal data that it should not
	@$(BIN)/warehouse pii check

# MetricFlow has a separate environment, because its dependencies differ from the project's.
METRICS_VENV := .venv-mf
METRICS_INSTALLED := $(METRICS_VENV)/.installed

$(METRICS_INSTALLED): requirements/metrics.txt $(INSTALLED)
	@echo "Installing MetricFlow into $(METRICS_VENV)"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(METRICS_VENV)
	@$(UV) pip install --quiet --python $(METRICS_VENV)/bin/python --require-hashes --no-deps -r requirements/metrics.txt
	@touch $@

.PHONY: metrics
metrics: setup $(METRICS_INSTALLED)  ## Validate the metrics, and compare their results with SQL on the marts
	@$(BIN)/pytest tests/marts/test_metrics.py

# Several processes, each of which gets whole files. One more than there are cores, because tests of locks mostly wait.
PROCESSES := $(shell $(PYTHON) -c 'import os; print(min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), 3) + 1)')
PARALLEL := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: test-fast
test-fast: setup  ## The tests that need no database, in less than a minute
	@$(BIN)/pytest tests/unit

.PHONY: test
test: lint  ## Lint, unit tests, and the test suite but for the long tests
	@$(BIN)/pytest $(PARALLEL) -m "not long"

# Status 5 says that no test is marked as long.
.PHONY: test-long
test-long: setup $(METRICS_INSTALLED)  ## Long tests, 100 histories, mutants, dbt-core 1.11, PostgreSQL 16, S3
	@$(BIN)/pytest $(PARALLEL) -m long || [ $$? -eq 5 ]
	@$(MAKE) replay N=100
	@$(MAKE) mutants ONLY=
	@$(MAKE) test-dbt-1.11
	@$(MAKE) test-postgres-16
	@$(MAKE) test-s3

.PHONY: test-postgres-16
test-postgres-16: setup  ## The test suite on PostgreSQL 16, the oldest supported version
	@WAREHOUSE_POSTGRES=16 $(BIN)/pytest $(PARALLEL) -m "not long"

OTHER_VENV := .venv-dbt-1.11

.PHONY: test-dbt-1.11
test-dbt-1.11: setup  ## Test the dbt project with dbt-core 1.11, in a separate environment
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(OTHER_VENV)
	@$(UV) pip install --quiet --python $(OTHER_VENV)/bin/python --require-hashes --no-deps -r requirements/warehouse.txt
	@$(UV) pip install --quiet --python $(OTHER_VENV)/bin/python --require-hashes --no-deps -r requirements/dbt-1.11.txt
	@$(UV) pip install --quiet --python $(OTHER_VENV)/bin/python --no-deps --editable .
	@$(OTHER_VENV)/bin/pytest tests/project/test_project.py tests/unit/test_project.py

.PHONY: test-clv
test-clv: setup  ## Test only customer lifetime value: the fit, the scores, the mart
	@$(BIN)/pytest tests/clv tests/unit/test_clv.py

.PHONY: test-monitoring
test-monitoring: setup  ## Test only metrics and alerts; the tests of alerts need prometheus and prometheus-alertmanager
	@$(BIN)/pytest tests/metrics

SPARK_VENV := .venv-spark
SPARK_INSTALLED := $(SPARK_VENV)/.installed

$(SPARK_INSTALLED): requirements/spark.txt $(INSTALLED)
	@echo "Installing Spark into $(SPARK_VENV)"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(SPARK_VENV)
	@$(UV) pip install --quiet --python $(SPARK_VENV)/bin/python --require-hashes --no-deps -r requirements/warehouse.txt -r requirements/spark.txt
	@$(UV) pip install --quiet --python $(SPARK_VENV)/bin/python --no-deps --editable .
	@touch $@

.PHONY: test-spark
test-spark: setup $(SPARK_INSTALLED)  ## Test the lifetime value scores in Spark 4, in a separate environment; needs Java 17
	@$(SPARK_VENV)/bin/pytest tests/clv/test_clv_spark.py

S3_VENV := .venv-s3
S3_INSTALLED := $(S3_VENV)/.installed

$(S3_INSTALLED): requirements/s3.txt requirements/moto.txt $(INSTALLED)
	@echo "Installing an S3 client and server into $(S3_VENV)"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(S3_VENV)
	@$(UV) pip install --quiet --python $(S3_VENV)/bin/python --require-hashes --no-deps -r requirements/warehouse.txt
	@$(UV) pip install --quiet --python $(S3_VENV)/bin/python --require-hashes --no-deps -r requirements/s3.txt -r requirements/moto.txt
	@$(UV) pip install --quiet --python $(S3_VENV)/bin/python --no-deps --editable .
	@touch $@

.PHONY: test-s3
test-s3: setup $(S3_INSTALLED)  ## Test the archive of `warehouse retain` in S3, with a server in a separate environment
	@$(S3_VENV)/bin/pytest tests/retention/test_s3.py

N ?= 100
SEED ?=
ACTIONS ?=

.PHONY: replay
replay: setup  ## Compare random histories, built load by load, with a full rebuild: make replay N=500 SEED=7 ACTIONS=kill,clone
	@$(BIN)/python -m tests.replay histories $(N) $(if $(SEED),--seed $(SEED)) $(if $(ACTIONS),--actions "$(ACTIONS)")

.PHONY: proof
proof: setup  ## Compare what audited builds find with dbt test, in random histories with faults: make proof N=10 SEED=7
	@PROOF_N=$(N) PROOF_SEED=$(or $(SEED),1) $(BIN)/pytest tests/quality/test_proof.py -k histories

ONLY ?=

.PHONY: mutants
mutants: setup  ## Break each incremental mechanism, and check that the replay notices: make mutants ONLY="part of a name, another"
	@$(BIN)/python -m tests.replay mutants $(if $(ONLY),--only "$(ONLY)")

.PHONY: parity
parity: setup  ## Compare the stand-ins with the original packages: make parity PACKAGES=FOLDER
	@if [ -z "$(PACKAGES)" ]; then echo "Name the folder of the original packages: make parity PACKAGES=FOLDER"; exit 2; fi
	@$(BIN)/python -m tests.parity.compare --packages "$(PACKAGES)"

SCALE ?= full
RUNS ?=

# Peers have separate environments, because they need other versions of shared dependencies.
comma := ,
BENCH_PEERS := $(filter sqlmesh dbt-duckdb,$(if $(ONLY),$(subst $(comma), ,$(ONLY)),sqlmesh dbt-duckdb))

$(VENV)-bench-%/.installed: requirements/bench-%.txt $(INSTALLED)
	@echo "Installing $* for the benchmark"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(VENV)-bench-$*
	@$(UV) pip install --quiet --python $(VENV)-bench-$*/bin/python --require-hashes --no-deps -r requirements/bench-$*.txt
	@touch $@

.PHONY: bench
bench: setup $(BENCH_PEERS:%=$(VENV)-bench-%/.installed)  ## Measure builds against stock dbt and others: make bench SCALE=small ONLY=daily
	@$(BIN)/python -m benchmarks.run --scale $(SCALE) --only "$(ONLY)" $(if $(RUNS),--runs $(RUNS))

.PHONY: bench-clv
bench-clv: setup  ## Measure the predictions for a million users, and write the numbers into docs/clv.md
	@$(BIN)/python -m benchmarks.clv --write

.PHONY: clv-docs
clv-docs: setup  ## Regenerate the tables and the chart of docs/clv.md from a separate sample
	@$(BIN)/python -m benchmarks.clv_docs

.PHONY: anomaly-rates
anomaly-rates: setup  ## Measure how many planted faults are found, and write the rates into docs/anomalies.md
	@$(BIN)/python -m benchmarks.anomalies --write

.PHONY: bench-load
bench-load: setup  ## Measure loading against a bare copy
	@$(BIN)/python -m benchmarks.load

.PHONY: bench-erasure
bench-erasure: setup  ## Measure the erasure of one person and of ten thousand on ten million events
	@$(BIN)/python -m benchmarks.erasure

.PHONY: bench-readme
bench-readme: setup  ## Write the numbers of the last complete `make bench` into benchmarks/README.md
	@$(BIN)/python -m benchmarks.report --write

.PHONY: clean
clean: down  ## Remove everything that was created: environments, data, sample, dbt's files
	@# A folder sample/ of another origin stays.
	@if [ -f sample/truth.json ]; then rm -rf sample; fi
	@rm -rf $(VENV) $(OTHER_VENV) $(METRICS_VENV) $(SPARK_VENV) $(VENV)-bench-* .warehouse target logs dbt_packages .pytest_cache .ruff_cache .hypothesis warehouse.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
