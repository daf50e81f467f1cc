"""Every code block of README and docs is run, or checked where its fence says why it is not."""

import os
import subprocess
import sys

import pytest

from tests.docs.pages import BLOCKS, KINDS, NEEDS, OPTIONS, blocks_of
from tests.docs.readers import READERS, check_python
from tests.docs.shell import check, commands_of, export, is_run_here
from tests.entries import ROOT

each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)


@pytest.fixture(scope="session")
def clone(new_clone):
    """A clone with the kustomization that the docs have made."""
    folder = new_clone()
    words = "write deploy/production --overlay gpu --registry registry.example/team"
    command = [sys.executable, "-m", "manifests.site", *words.split()]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    return folder


@each_block
def test_a_fence_says_what_its_block_is(block):
    assert block.fenced.language in KINDS
    options = block.fenced.options
    assert set(options) <= OPTIONS
    assert options.get("needs", "time") in NEEDS
    assert options.get("judge", "trained") == "trained"


@each_block
def test_commands_are_there_and_take_their_arguments(block, clone, monkeypatch):
    if block.kind != "shell":
        pytest.skip("no command line")
    monkeypatch.chdir(clone)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for one in blocks_of(block.path):
        if one.kind == "shell" and one.line <= block.line:
            export(one.script)
    assert block.script, "expected a line that begins with `$ `, or the language text"
    for command in commands_of(block.script):
        check(command)
        assert block.needs or is_run_here(command), f"{command}: say why it is not run: needs=..."


@each_block
def test_a_block_does_what_its_page_says(block, reader_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if block.is_run:
        reader_of(block.path).do(block)
    elif block.kind == "python":
        check_python(block.text)
    elif block.kind in READERS:
        READERS[block.kind](block.text)
    else:
        pytest.skip(f"needs {block.needs}" if block.needs else "what is printed")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_a_page_begins_with_what_its_reader_can_do_afterwards(page):
    if page.name == "api.md":
        pytest.skip("a reference")
    paragraph = page.read_text(encoding="utf-8").split("\n\n")[1]
    assert "After this page you" in paragraph
