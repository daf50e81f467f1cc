VENV := .venv
TRITON_VENV := .venv-triton
PYTHON ?= python3
PIP_OPTIONS ?= --quiet --disable-pip-version-check

.PHONY: test clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --constraint constraints.txt --editable '.[client,dev,judge,stack]'
	touch $@

# Triton's server comes in a wheel that needs numpy 1, so it has an environment of its own.
$(TRITON_VENV)/.ready: constraints-triton.txt
	$(PYTHON) -m venv $(TRITON_VENV)
	$(TRITON_VENV)/bin/pip install $(PIP_OPTIONS) --constraint constraints-triton.txt \
		numpy pillow pydantic safetensors tokenizers torch transformers
	$(TRITON_VENV)/bin/pip install $(PIP_OPTIONS) --no-deps nvidia-pytriton==0.7.0
	touch $@

test: $(VENV)/.ready $(TRITON_VENV)/.ready  ## set up everything, then lint and run the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2

clean:  ## remove what make created
	rm -rf $(VENV) $(TRITON_VENV) build
