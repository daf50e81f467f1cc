#!/bin/sh
# Makes a base image of this Debian's own packages, for a machine that reaches no container registry:
# Debian with Python 3.11, as much like python:3.11-slim as the images need. Give it to the build:
#   sh manifests/images/stand-in-base.sh localhost/stand-in/python:3.11-bookworm
#   make images BASE_IMAGE=localhost/stand-in/python:3.11-bookworm
# Needs root, debootstrap, and podman or docker (CONTAINER_ENGINE) to import what it made.
set -eu

image=${1:?usage: stand-in-base.sh IMAGE}
engine=${CONTAINER_ENGINE:-podman}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

debootstrap --variant=minbase \
    --include=ca-certificates,libpython3.11,python3,python3-pip,python3-venv bookworm "$folder"
rm -rf "$folder"/var/lib/apt/lists/* "$folder"/var/cache/apt/* "$folder"/var/log/*
tar --directory="$folder" --numeric-owner --create . | "$engine" import - "$image"
