"""A clone as ``make demo`` leaves it, but for a judge that is made in seconds."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.clone import STATE_DIR, Reader, make_clone
from tests.docs.pages import blocks_of
from tests.entries import ROOT
from tests.evaluated import register_evaluated

# What make would do is known without doing it.
_MAKE = '#!/bin/sh\nexec /usr/bin/make --dry-run "$@"\n'
_STACK_UP = 'spatialreward stack up\neval "$(spatialreward stack env)"\n'
_CHAMPIONS = """
spatialreward promote judge --version 1 --yes
spatialreward promote judge --version 2 --yes
spatialreward deploy --model models:/spatial-reward@champion
spatialreward stack down
"""


@pytest.fixture(scope="session")
def shell_variables(tmp_path_factory):
    """The environment of a newcomer's shell, in which the commands are found."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "make").write_text(_MAKE)
    (programs / "make").chmod(0o755)
    kept = {"HOME", "LANG", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"}
    return {name: value for name, value in os.environ.items() if name in kept} | {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.defpath]),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "120",
        "SPATIALREWARD_CACHE": str(tmp_path_factory.mktemp("cache")),
    }


@pytest.fixture(scope="session")
def new_clone(known_samples, judge_folder, tmp_path_factory):
    """Makes a clone in a folder of its own."""

    def make():
        folder = tmp_path_factory.mktemp("reader") / "clone"
        folder.mkdir()
        return make_clone(folder, known_samples, judge_folder)

    return make


@pytest.fixture(scope="session")
def after_the_demo(new_clone, shell_variables, judge_folder, tmp_path_factory):
    """The stack's folder with two judges in the registry, the second one champion and served."""
    reader = Reader(new_clone(), shell_variables)
    reader.type(_STACK_UP)
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in reader.variables.items():
                environment.setenv(name, value)
            for version in (1, 2):
                folder = tmp_path_factory.mktemp("version") / "checkpoint"
                shutil.copytree(judge_folder, folder)
                card = json.loads((folder / "card.json").read_text())
                (folder / "card.json").write_text(json.dumps(card | {"checkpoint": version}))
                register_evaluated("spatial-reward", folder)
        reader.type(_CHAMPIONS)
    finally:
        reader.leave()
    return reader.folder / STATE_DIR


@pytest.fixture(scope="module")
def new_reader(new_clone, shell_variables, after_the_demo):
    """Makes readers with a clone of their own; at the end they leave no stack running."""
    readers = []

    def make():
        clone = new_clone()
        shutil.copytree(after_the_demo, clone / STATE_DIR, symlinks=True)
        readers.append(Reader(clone, shell_variables))
        return readers[-1]

    yield make
    for reader in readers:
        reader.leave()


@pytest.fixture(scope="module")
def variables_with_a_stack(new_reader):
    """The environment of a reader whose stack is up."""
    reader = new_reader()
    reader.type(_STACK_UP)
    return reader.variables


@pytest.fixture(scope="module")
def reader_of(new_reader, request):
    """The reader of a page, the same for all its blocks; a stack takes memory, so one at a time."""
    current = {}

    def find(path):
        if path not in current:
            for reader in current.values():
                reader.leave()
            current.clear()
            current[path] = new_reader()
            starts = any("stack up" in one.script for one in blocks_of(path) if one.is_run)
            if not starts:
                current[path].variables = dict(request.getfixturevalue("variables_with_a_stack"))
        return current[path]

    return find
