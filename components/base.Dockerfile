# What the containers of the pipeline share: an environment with locked dependencies, and a user.
#
# Two targets: `base` without torch, and `torch`, the same with torch for VARIANT on top. The code of
# this repository is not in here: it comes last, in each component's own image, so that a change of
# code never changes a layer of dependencies.
ARG BASE_IMAGE=python:3.11.15-slim-bookworm

# The part of the project's file that says what is installed: settings of linters and tests change
# more often, and install nothing.
FROM ${BASE_IMAGE} AS project
COPY pyproject.toml /src/whole.toml
RUN sed '/^\[tool\./,$d' /src/whole.toml > /src/pyproject.toml \
    && touch --date=@0 /src/pyproject.toml

# kfp comes as source: it is built here, so that nothing it is built with ends in an image.
FROM ${BASE_IMAGE} AS builder
ARG PIP_CONFIG_FILE=/run/secrets/pip.conf
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
COPY --from=project /src/pyproject.toml /src/
COPY LICENSE /src/
COPY constraints.txt /opt/venv/
# An empty package stands in for the library's code: its dependencies, metadata and command are
# installed, and a path file adds the code itself in /app.
# DL3003: the folder's name has Python's version in it, which WORKDIR cannot match.
# hadolint ignore=DL3003
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    mkdir /src/spatialreward \
    && touch /src/spatialreward/__init__.py \
    && /opt/venv/bin/pip install --constraint /opt/venv/constraints.txt '/src[container]' \
    && cd /opt/venv/lib/python3*/site-packages \
    && rm -r spatialreward \
    && echo /app > spatialreward.pth

FROM ${BASE_IMAGE} AS base
# /work is everybody's, as /tmp is: a tmpfs that is mounted there takes over mode, but not owner.
RUN groupadd --gid 10001 spatialreward \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /work/home \
        --shell /usr/sbin/nologin spatialreward \
    && install --directory --mode=1777 /work
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/work/home \
    XDG_CACHE_HOME=/work/cache \
    MPLCONFIGDIR=/work/cache/matplotlib \
    HF_HOME=/work/cache/huggingface \
    SPATIALREWARD_WORK_DIR=/work/steps \
    SPATIALREWARD_CACHE=/work/cache \
    MLFLOW_DISABLE_TELEMETRY=true \
    GOMP_SPINCOUNT=0
WORKDIR /app
USER 10001:10001

FROM base AS torch
ARG VARIANT=cpu
ARG PIP_CONFIG_FILE=/run/secrets/pip.conf
USER 0:0
# Two files have the same name and version in different indexes; what was got is what was asked for.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    torch="torch==$(sed -n 's/^torch==//p' /opt/venv/constraints.txt)" \
    && case "$VARIANT" in \
        cpu) torch="$torch+cpu" ;; \
        cuda) ;; \
        *) echo "VARIANT=$VARIANT: expected cpu or cuda" >&2; exit 2 ;; \
    esac \
    && pip install --constraint /opt/venv/constraints.txt "$torch" 'spatialreward[judge]' \
    && python -c "import sys, torch; sys.exit((torch.version.cuda is None) != ('$VARIANT' == 'cpu'))"
ENV SPATIALREWARD_VARIANT=${VARIANT}
USER 10001:10001
