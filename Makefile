# Callboard. `make run` and `make test` do all set-up themselves.
# Variables: PORT HOST DATA_DIR DATABASE_URL ADMIN_PASSWORD DEMO DEMO_PLATFORMS SANDBOX_PORT (see .env.example).

SHELL := /bin/sh
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run test check bench fill crash storm screens format messages platforms venv venv-dev

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

run: venv ## set everything up and run Callboard with a sandbox platform; Ctrl-C stops it
	@exec $(PY) -m config.up --follow-parent

test: venv-dev ## run all tests against a real PostgreSQL (DATABASE_URL, or the private one)
	@$(PY) -m pytest -n $(or $(TEST_PROCESSES),2) $(ARGS)

check: venv-dev ## format, lint, types, import contracts, deploy check, migrations, translations, docs/platforms.md
	@$(PY) -m config.checks

bench: venv-dev ## measure the promises of speed beside their baselines (ROWS=1000000 BATCHES=2000 PUSHES=20000 PAST=300000 RECEIPTS=1000000)
	@missed=0; \
	$(PY) -m tests.benchmarks.bench_import $(or $(ROWS),1000000) || missed=1; \
	$(PY) -m tests.benchmarks.bench_apply $(or $(PUSHES),20000) $(or $(PAST),300000) || missed=1; \
	$(PY) -m tests.benchmarks.bench_dispatch $(or $(BATCHES),2000) || missed=1; \
	BENCH_RECEIPTS=$(or $(RECEIPTS),1000000) $(PY) -m pytest -s -p no:xdist \
	  tests/benchmarks/bench_health.py || missed=1; \
	BENCH_ROWS=$(or $(ROWS),1000000) $(PY) -m pytest -s -p no:xdist \
	  tests/benchmarks/bench_door.py tests/benchmarks/bench_import_door.py tests/benchmarks/bench_inbox.py tests/benchmarks/bench_answer.py tests/benchmarks/bench_retention.py tests/benchmarks/bench_export.py $(ARGS) || missed=1; \
	exit $$missed

fill: venv-dev ## fill a database with pretend contacts and calls: DATA_DIR=… CONTACTS=1000000 CALLS=10000000
	@$(PY) -m tests.benchmarks.fill $(or $(CONTACTS),1000000) $(or $(CALLS),10000000)

crash: venv-dev ## kill and stop workers while the platform fails: SEEDS=5 CONTACTS=1000 ARGS=…
	@$(PY) -m tests.crash --seeds $(or $(SEEDS),5) --contacts $(or $(CONTACTS),1000) $(ARGS)

storm: venv-dev ## kill web, workers and database while pushes come: PUSHES=5000 KILLS=30 SEED=1 ARGS=…
	@$(PY) -m tests.storm --pushes $(or $(PUSHES),5000) --kills $(or $(KILLS),30) --seed $(or $(SEED),1) $(ARGS)

screens: venv-dev ## take the README's screenshots of a running Callboard: ADDRESS=… PASSWORD=…
	@$(PY) docs/screens/make_screens.py "$(ADDRESS)" "$(PASSWORD)" $(ARGS)

format: venv-dev ## write the code the way `make check` wants it
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .

messages: venv-dev ## bring the translation catalogue up to date and compile it
	@$(PY) manage.py check_translations --update --compile

platforms: venv-dev ## write docs/platforms.md, the capability table of all platforms
	@$(PY) manage.py platforms_table --write

venv:
	@$(call bootstrap,)

venv-dev:
	@$(call bootstrap,--dev)

# The machine's Python: $(PYTHON) if given, else the first of these that is new enough.
define bootstrap
for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14 python); do \
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    exec "$$python" -I config/bootstrap.py $(1); \
  fi; \
done; \
echo "Python 3.11 or newer was not found: install it (\`apt install python3 python3-venv\`), or name it with \`make PYTHON=/path/to/python3.12 …\`." >&2; exit 1
endef
