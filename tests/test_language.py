"""Words that docstrings, comments, messages and names avoid."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("*.md", "*.py", "*.sh", "*.toml", "*.yaml", "*.yml", "*Dockerfile", "Makefile")
"""Checked files, as patterns of Git."""
EXCEPT = ("CHANGELOG.md", "tests/test_language.py")
"""The names of former options, and this list itself."""
WORDS = ("whoever", "nobody", "somebody", "whom", "anew", "in vain")
PATTERN = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)


def offences(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {found[0]!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for found in PATTERN.finditer(line)
    ]


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "-z", "--", *FILES, *(f":!{path}" for path in EXCEPT)]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [one for one in listed.stdout.split("\0") if one]


def test_sentences_avoid_the_words_of_the_list():
    found = []
    for path in tracked_files():
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            found += offences(path, data.decode("utf-8", "replace"))
    assert not found, "\n".join(found)


def test_an_offence_is_named_by_file_and_line():
    assert offences("a.py", f"# fine\n# asked {WORDS[3]}, {WORDS[5]}\n") == [
        "a.py:2: 'whom'",
        "a.py:2: 'in vain'",
    ]
    assert offences("a.py", "everybody renewed it") == []
