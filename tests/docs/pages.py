"""The code blocks of README and docs, each with what its fence says about it.

Behind the language a fence may say ``needs=cluster`` (why the block is checked and not run),
``judge=trained`` (run by ``make first-hour``, and checked here, where the judge knows four edits)
and ``file=edits.toml`` (what the reader writes it to). Renderers look at the language only; a
reader of the source sees the rest.
"""

from pathlib import Path
from typing import NamedTuple

from docs.blocks import Block as Fenced
from docs.blocks import read_blocks
from tests.entries import ROOT

NEEDS = {
    "cluster": "a Kubernetes cluster",
    "containers": "docker, podman or buildah",
    "ctrl-c": "Ctrl-C, it runs until then",
    "finished-run": "a run of the pipeline that has ended",
    "gpu": "a GPU, or minutes without one",
    "internet": "packages or repositories of others",
    "registered": "versions of a judge that you have trained and registered",
    "time": "minutes or hours",
    "trl": "a training loop of others that is not installed here",
}
"""Why a block is checked and not run, by the word after ``needs=``."""
OPTIONS = {"file", "judge", "needs"}
KINDS = {
    "console": "shell",
    "json": "json",
    "mermaid": "diagram",
    "jsonl": "jsonl",
    "pbtxt": "pbtxt",
    "python": "python",
    "sh": "shell",
    "text": "text",
    "toml": "toml",
    "yaml": "yaml",
}
"""How a block is looked at, by its language."""
_PATTERNS = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "components/*/README.md")


class Block(NamedTuple):
    """One code block of a page."""

    path: Path
    fenced: Fenced

    @property
    def name(self) -> str:
        """File and line."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def line(self) -> int:
        """Of its first line of text, from 1."""
        return self.fenced.line

    @property
    def text(self) -> str:
        """What is in it."""
        return self.fenced.text

    @property
    def kind(self) -> str:
        """How it is looked at; empty if its language is none that is known."""
        return KINDS.get(self.fenced.language, "")

    @property
    def needs(self) -> str:
        """What is not here, so that it is not run; empty if it is."""
        if self.fenced.options.get("judge") == "trained":
            return "a judge that was trained for longer than a test may take"
        return NEEDS.get(self.fenced.options.get("needs", ""), "")

    @property
    def file(self) -> str:
        """The file that a reader writes it to, for the blocks below; empty if to none."""
        return self.fenced.options.get("file", "")

    @property
    def is_run(self) -> bool:
        """Whether it is run as it stands on its page."""
        return self.kind in {"python", "shell"} and not self.needs and not self.file

    @property
    def script(self) -> str:
        """What one types into a shell."""
        return "".join(f"{command}\n" for _, command in self.fenced.commands())


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a page, in order."""
    return [Block(path, fenced) for fenced in read_blocks(path)]


def pages() -> list[Path]:
    """The pages for users and contributors."""
    patterns = (*_PATTERNS, "examples/**/*.md")
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


BLOCKS = [block for path in pages() for block in blocks_of(path)]
