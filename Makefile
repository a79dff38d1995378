# `make demo` and `make test` set everything up by themselves; only git, make and Python are needed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= runs/demo

.PHONY: setup demo test test-all lint docs bench clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq -e '.[test]'
	touch $@

demo: setup
	rm -rf $(OUT)
	$(BIN)/atkl harden --method ladder --data digits --out $(OUT)
	$(BIN)/atkl evaluate $(OUT) --data digits --attack fgsm:eps=0.1 --attack pgd:eps=0.1,steps=20 --out $(OUT)/result.json
	$(BIN)/atkl report $(OUT)/result.json $(OUT) --out $(OUT)/report
	@echo "Look at $(OUT)/report/index.html, $(OUT)/ladder_strip.png and $(OUT)/accuracy_over_eps.png"

test: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --run-slow

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy -p atk_latent -p cli

docs: setup
	$(BIN)/python -m pip install -qq -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site
	@echo "Look at site/index.html"

bench: setup
	$(BIN)/python -m benchmarks $(NAME)

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .ruff_cache .mypy_cache
