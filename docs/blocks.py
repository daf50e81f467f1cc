"""The fenced blocks of a Markdown page, as those who run them read them.

A fence says its language, then options: ``sh needs=cluster``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

_PROMPT = "$ "


class Block(NamedTuple):
    """One fenced block."""

    language: str
    options: dict[str, str]
    text: str
    line: int
    """Of its first line of text, from 1."""

    def commands(self) -> Iterator[tuple[int, str]]:
        r"""The commands of a block for a shell, each with its line; ``\`` goes on in the next.

        A ``console`` block shows output too: its commands stand behind ``$``.
        """
        lines = enumerate(self.text.splitlines(), start=self.line)
        for number, line in lines:
            if self.language == "console":
                if not line.startswith(_PROMPT):
                    continue
                line = line.removeprefix(_PROMPT)
            while line.endswith("\\"):
                line += "\n" + next(lines, (0, ""))[1]
            if line.strip() and not line.lstrip().startswith("#"):
                yield number, line


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order; those of lists too."""
    blocks = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type != "fence" or token.map is None:
            continue
        language, _, rest = token.info.strip().partition(" ")
        options = dict(option.partition("=")[::2] for option in rest.split())
        blocks.append(Block(language, options, token.content, token.map[0] + 2))
    return blocks
