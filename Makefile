VENV ?= .venv
PYTHON ?= python3

.PHONY: test lint clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev,judge]'
	touch $@

test: $(VENV)/.ready  ## set up everything, then lint and run the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pytest -n 2

clean:  ## remove what make created
	rm -rf $(VENV) build
