# DecisionGraph. `make run` and `make test` need nothing but Python 3.11+ and make.
#   PORT=8100 STATE_DIR=.state-two DATABASE_URL=... REDIS_URL=... make run

PYTHON ?= python3
NAMED := $(if $(filter file,$(origin PYTHON)),,named)

BIN := .venv/bin
ENVIRONMENT := $(PYTHON) decisiongraph/stack/environment.py
PIN := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help run tracing test check bench eval demo-traffic environment dev-environment pin format clean erase backup restore trust

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

environment:  ## .venv with what the product needs
	@$(ENVIRONMENT) base $(NAMED)

dev-environment:  ## .venv with what tests and checks need as well
	@$(ENVIRONMENT) dev $(NAMED)

tracing: environment  ## what OpenTelemetry needs, on top (docs/operations/observability.md)
	@$(ENVIRONMENT) otel $(NAMED)

run: environment  ## start everything here; Ctrl-C stops it
	@exec $(BIN)/python -m decisiongraph.stack run

demo-traffic: environment  ## live decisions for the tenant demo, while `make run` runs
	@exec $(BIN)/python manage.py demo_traffic

test: dev-environment  ## all tests; ARGS="tests/traces -x" for some
	@exec $(BIN)/python -m tests.run $(ARGS)

trust: dev-environment  ## the fault suite, a line per row; ROWS="A1 B2", LONG=1 for half an hour with new seeds
	@LONG=$(or $(LONG),0) $(BIN)/python -m tests.trust $(ROWS) $(ARGS)

check: dev-environment  ## lint, types, architecture, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	PUBLIC_URL=https://decisions.example.org SOCKET_URL=wss://decisions.example.org/ws/ \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

bench: dev-environment  ## the figures of docs/benchmarks.md, on this machine
	@exec $(BIN)/python -m tests.bench $(ARGS)

eval: dev-environment  ## how well precedents are found on real runs, beside plain BM25
	@exec $(BIN)/python -m tests.eval

format: dev-environment  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pin: dev-environment  ## renew requirements/*.txt with the newest versions that fit
	$(PIN) --upgrade -o requirements/uv.txt requirements/uv.in
	$(PIN) --upgrade -o requirements/base.txt requirements/base.in
	$(PIN) --upgrade -o requirements/otel.txt requirements/otel.in
	$(PIN) --upgrade -o requirements/dev.txt requirements/dev.in

clean:  ## remove the environment and caches; data stays
	rm -rf .venv .venv-bootstrap .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

backup: environment  ## one moment of the database into a folder; TO=/elsewhere
	@exec $(BIN)/python -m decisiongraph.stack backup $(if $(TO),--to "$(TO)")

restore: environment  ## FROM=folder into an empty database (STATE_DIR=.state-restored), checked and replayed; CHECK=log, CHECKPOINT=file
	@exec $(BIN)/python -m decisiongraph.stack restore --from "$(FROM)" $(if $(CHECK),--check "$(CHECK)") \
		$(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)")

erase: environment  ## stop the servers of STATE_DIR and delete all their data
	@exec $(BIN)/python -m decisiongraph.stack erase
