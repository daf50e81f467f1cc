"""The words that docstrings, comments, messages and names of these rooms avoid (see STYLE.md)."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = (
    "components",
    "pipelines",
    "serving",
    "spatialreward/*.py",
    "spatialreward/benchmarks",
    "spatialreward/chat",
    "spatialreward/data",
    "spatialreward/editors",
    "spatialreward/judges",
    "spatialreward/protocol",
    "spatialreward/rl",
    "spatialreward/serving",
    "spatialreward/training",
    "spatialreward/world",
    "tests/*.py",
    "tests/benchmarks",
    "tests/components",
    "tests/data",
    "tests/editors",
    "tests/images",
    "tests/judges",
    "tests/pipelines",
    "tests/protocol",
    "tests/rehearsal",
    "tests/rl",
    "tests/serving",
    "tests/serving_bench",
    "tests/serving_files",
    "tests/training",
    "tests/transfer",
    "tests/triton",
    "tests/world",
)
"""Checked folders and patterns of Git."""
EXCEPT = (
    "spatialreward/buckets.py",
    "spatialreward/data/teacher",
    "tests/data/teacher",
    "tests/test_language.py",
)
"""Parts of the rooms that are not checked yet, and this list itself."""
WORDS = ("whoever", "nobody", "somebody", "whom", "anew", "in vain")
PATTERN = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
FOREIGN = {("pipelines/steps.py", "ANEW")}
"""Names from modules outside the rooms, by file."""


def offences(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {found[0]!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for found in PATTERN.finditer(line)
        if (path, found[0]) not in FOREIGN
    ]


def tracked_files() -> list[str]:
    excluded = (f":!{path}" for path in EXCEPT)
    command = [
        "git",
        "ls-files",
        "-z",
        "--",
        *(f":(glob){one}" if "*" in one else one for one in ROOMS),
        *excluded,
    ]
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
