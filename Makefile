# Each command does all its set-up itself: a .venv with exact versions, made on the first use (tools/setup.sh).
#
#   make demo  [ARGS="--images 4"]    train, export, emulate, simulate; the table and the HTML report
#   make test  [ARGS="tests/rtl -k …"]
#   make test-long                    random programs, networks and accelerators with a hundred seeds
#   make lint
#   make docs                         the instruction-set reference, from the declarations
#   make notebooks                    run them all, in place

.PHONY: demo test test-long lint format docs notebooks setup clean
.DEFAULT_GOAL := demo

setup:
	@tools/setup.sh

demo: setup
	.venv/bin/lockstep demo $(ARGS)

# Two processes; the tests of one file stay together, so that they share what the file has built; tests/conftest.py
# orders the files.
test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup
	.venv/bin/python -m pytest -n 2 --seeds 100 tests/end_to_end/test_random_*.py $(ARGS)

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: setup
	.venv/bin/python -m codesign.reference.instruction_set_reference

notebooks: setup
	.venv/bin/jupyter execute --inplace notebooks/*.ipynb

clean:
	rm -rf .venv .venv.old lockstep-demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
