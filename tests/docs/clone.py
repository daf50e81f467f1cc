"""A clone after ``make demo``, and a reader who does in it what a page says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spatialreward.world.samples import SceneSample
from tests.docs.pages import Block, blocks_of
from tests.entries import ROOT

STATE_DIR = Path("build/stack")
_COPIED = {"examples"}
_PICTURES = {"source": 0, "edited": 1, "a": 0, "b": 1, "before": 0, "after": 1}
_WORLD = 'name = "edits"\n[source]\nkind = "world"\ncount = 8\n'
# What is entered prints elsewhere; the answer to each block is its traceback, or nothing.
_ENTERED = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    path, text = json.loads(line)
    problem = ""
    try:
        exec(compile(text, path, "exec"), globals())
    except Exception:
        problem = traceback.format_exc()
    print(json.dumps(problem), file=answers, flush=True)
"""
_KEEP_VARIABLES = "env -0 >{file}\n"
# The docs name the usual ports; a test's services are at free ones.
_ADDRESSES = (
    (re.compile(r"\b[\w.-]+:8001(?:,[\w.-]+:8001)*\b|\bHOST:PORT\b"), "TRITON_GRPC_URL"),
    (re.compile(r"http://[\w.-]+:5000\b"), "MLFLOW_TRACKING_URI"),
    (re.compile(r"http://[\w.-]+:8333\b"), "S3_ENDPOINT_URL"),
)


def make_clone(folder: Path, samples: Sequence[SceneSample], judge: Path) -> Path:
    """Make a clone of this checkout, and in it the pictures, edits and settings of the docs."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    tops = {name.partition("/")[0] for name in listed.stdout.decode().splitlines()}
    for top in [one for one in tops if (ROOT / one).exists()]:
        if top in _COPIED:
            shutil.copytree(ROOT / top, folder / top)
        else:
            (folder / top).symlink_to(ROOT / top)
    for name in (".venv", ".venv-triton"):
        (folder / name).symlink_to((ROOT / name).resolve())
    for stem, number in _PICTURES.items():
        for extension in ("png", "jpg"):
            samples[0].images()[number].save(folder / f"{stem}.{extension}")
    lines = []
    for line in (ROOT / "examples" / "edits.jsonl").read_text().splitlines():
        edit = json.loads(line)
        pictures = {role: f"examples/{edit[role]}" for role in ("source", "edited")}
        lines.append(json.dumps(edit | pictures))
    for name in ("edits.jsonl", "smoke.jsonl", "probes.jsonl", "EDITS.jsonl"):
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "edits.toml").write_text(_WORLD)
    (folder / "DIR").symlink_to(judge)
    return folder


class Reader:
    """A reader at a shell in a clone, who works through a page from top to bottom."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(variables)
        self._done: set[int] = set()
        self._python: subprocess.Popen[str] | None = None

    def do(self, block: Block) -> None:
        """Run a block, and before it those above it that have not been run."""
        for one in blocks_of(block.path):
            if one.line > block.line or one.line in self._done:
                continue
            self._done.add(one.line)
            if one.file:
                self._write(one)
            elif one.is_run and one.kind == "shell":
                self.type(self._with_addresses(one.script))
            elif one.is_run:
                self._enter(one)

    def type(self, script: str) -> None:
        """Run a script; variables that it sets are there afterwards."""
        kept = self.folder.parent / "variables"
        whole = script + _KEEP_VARIABLES.format(file=kept)
        self._run(["bash", "-euo", "pipefail", "-c", whole])
        pairs = kept.read_text().rstrip("\0").split("\0")
        self.variables = dict(pair.split("=", 1) for pair in pairs)

    def leave(self) -> None:
        """Leave Python, and stop the stack that was started, if one was."""
        if self._python is not None:
            self._python.communicate()
            self._python = None
        if (self.folder / STATE_DIR / "endpoints.json").exists():
            self._run(["spatialreward", "stack", "down"])

    def _write(self, block: Block) -> None:
        """Write a file, and copy pictures to where its lines say that some are."""
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        if block.kind != "jsonl":
            return
        values = [v for line in block.text.splitlines() if line for v in json.loads(line).values()]
        named = [v for v in values if str(v).endswith((".png", ".jpg", ".webp"))]
        pictures = sorted((self.folder / "examples" / "pictures").iterdir())
        for picture, name in zip(pictures, dict.fromkeys(named), strict=False):
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, path.parent / name)

    def _enter(self, block: Block) -> None:
        """Run a block in the Python that the blocks before it were entered in."""
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _ENTERED],
                cwd=self.folder,
                env=self.variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        # Empty lines, so that a traceback has the lines of the page.
        text = "\n" * (block.line - 1) + self._with_addresses(block.text)
        self._python.stdin.write(json.dumps([str(block.path), text]) + "\n")
        self._python.stdin.flush()
        problem = json.loads(self._python.stdout.readline() or '"Python has ended"')
        assert not problem, problem

    def _with_addresses(self, text: str) -> str:
        for pattern, variable in _ADDRESSES:
            if variable in self.variables:
                text = pattern.sub(self.variables[variable], text)
        return text

    def _run(self, command: Sequence[str]) -> None:
        # A command that asks sees a terminal, and is answered with yes.
        ours, theirs = os.openpty()
        os.write(ours, b"y\n")
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.variables,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        assert done.returncode == 0, done.stdout
