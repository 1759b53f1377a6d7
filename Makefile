# The words of the house; tools/dev.py does the work and builds .venv when it has to.
PYTHON ?= python3
DEV = $(PYTHON) tools/dev.py

.PHONY: setup run test check format bench lock clean
.DEFAULT_GOAL := setup

setup:
	@$(DEV) setup

run: setup
	@exec .venv/bin/python -m tools.demo $(ARGS)

test: setup
	@$(DEV) test --lane all

check: setup
	@$(DEV) check

format: setup
	@$(DEV) format

bench: setup
	@exec .venv/bin/python -m bench $(ARGS)

lock:
	@$(DEV) lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
