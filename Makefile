# `make help` lists the commands. Each sets up `.venv` first, if that is not done yet.
# Works with GNU make 3.81, which is what macOS has.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
NAMES ?=
LAB_FLAGS ?=
# Jupyter refuses to run as root unless told; in a container there is often no one else.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help setup lab test test-all lint format sync notebooks clean
.DEFAULT_GOAL := help

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  PYTHON=/path/to/python3.12   which Python to make .venv with (3.11 to 3.13)"
	@echo "  NAMES='01 solutions/01'      which notebooks (sync, notebooks); all if empty"
	@echo "  ALEXNET_EDU_SCALE=quick      how much work: quick, laptop (default), gpu, paper"
	@echo "  UV_TORCH_BACKEND=cpu         on Linux: torch without CUDA, some 5 GB less"

setup: $(STAMP) ## makes .venv and installs everything into it

lab: $(STAMP) ## opens notebooks/00_start_here.ipynb in JupyterLab
	@# A kernel called python3 that the user installed elsewhere must not stand in for ours.
	@# As the default URL, 00 also opens where the URL is copied into a browser elsewhere.
	JUPYTER_PATH= JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab $(ALLOW_ROOT) \
	  --ServerApp.root_dir=notebooks --LabApp.default_url=/lab/tree/00_start_here.ipynb $(LAB_FLAGS)

test: $(STAMP) ## lint, types, tests and every notebook under nbval; minutes
	@$(BIN)/python tools/run_checks.py

test-all: $(STAMP) ## the same with the browser, the fault campaigns and what is compiled
	@$(BIN)/python tools/run_checks.py lint types all

lint: $(STAMP) ## the first two steps of `make test`: style and types
	@$(BIN)/python tools/run_checks.py lint types

format: $(STAMP) ## rewrites the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sync: $(STAMP) ## notebooks/src/*.py -> notebooks/*.ipynb; outputs of unchanged cells stay
	$(BIN)/python tools/notebooks.py sync $(NAMES)

notebooks: $(STAMP) ## executes the notebooks top to bottom and saves their outputs
	$(BIN)/python tools/notebooks.py execute $(NAMES)

clean: ## removes .venv and caches; data and notebooks stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache *.egg-info

$(STAMP): pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV)
	@touch $(STAMP)
