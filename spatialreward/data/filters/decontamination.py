"""Excludes evaluation benchmarks from training data.

A benchmark's pictures identify it: they are rejected as source or as edited picture. Its
instructions are often common ("make it snow"), so the same words count only with a picture roughly
like the benchmark's, or if they are too long for a coincidence.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.filters.config import BenchmarkRules, PictureLimits
from spatialreward.data.filters.duplicates import LeftOut
from spatialreward.data.filters.facts import edited_hashes, source_hashes
from spatialreward.data.filters.fingerprints import to_bits
from spatialreward.data.filters.hamming import nearest
from spatialreward.data.filters.pictures import open_pictures
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.data.filters.words import instruction_words, n_gram_keys
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record
from spatialreward.validation import first_problem

Words = tuple[str, ...]


class BenchmarkItem(Record):
    """Fingerprints of one benchmark task."""

    benchmark: str
    id: str
    instruction: str
    fingerprints: tuple[str, ...] = Field(min_length=1)
    """Perceptual hashes of all its pictures, 16 hexadecimal digits each."""

    def __str__(self) -> str:
        """``GEdit-Bench 17``."""
        return f"{self.benchmark} {self.id}"


class BenchmarkIndex(Record):
    """A benchmark's fingerprints; a few hundred bytes an item, computed once and stored."""

    items: tuple[BenchmarkItem, ...] = ()

    @classmethod
    def of(
        cls, benchmark: str, edits: Iterable[LabelledEdit], limits: PictureLimits | None = None
    ) -> Self:
        """The index of a benchmark that is read like any data set.

        Raises:
            InvalidInputError: a picture is unusable; an index must not have gaps.
        """
        # Decodable pictures of any size can be recognised.
        limits = limits or PictureLimits(min_side=1, max_aspect=200)
        items = []
        for edit in edits:
            pictures = open_pictures(edit, limits)
            if isinstance(pictures, Finding):
                raise InvalidInputError(f"{benchmark} {edit.id}: {pictures.detail}")
            items.append(
                BenchmarkItem(
                    benchmark=benchmark,
                    id=edit.id,
                    instruction=edit.instruction,
                    fingerprints=pictures.fingerprints(),
                )
            )
        return cls(items=tuple(items))

    def __add__(self, other: Self) -> Self:
        """Both benchmarks in one index."""
        return type(self)(items=(*self.items, *other.items))

    def write(self, path: Path) -> None:
        """Store the index as JSON; the file appears only when complete."""
        unfinished = path.with_name(path.name + ".partial")
        unfinished.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        unfinished.rename(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The index in a file.

        Raises:
            InvalidInputError: it is missing or malformed, or a hash is invalid.
        """
        try:
            index = cls.model_validate_json(path.read_text(encoding="utf-8"))
            to_bits(digits for item in index.items for digits in item.fingerprints)
        except OSError as error:
            raise InvalidInputError(f"benchmark index {path}: {error.strerror or error}") from error
        except ValidationError as error:
            problem = first_problem(error, cls)
            raise InvalidInputError(f"benchmark index {path}: {problem}") from error
        except ValueError as error:
            raise InvalidInputError(f"benchmark index {path}: {error}") from error
        return index


def benchmark_overlaps(facts: pa.Table, index: BenchmarkIndex, rules: BenchmarkRules) -> LeftOut:
    """Edits with a benchmark's picture, or with its instruction if distinctive."""
    left_out = _by_text(facts, index, rules)
    # Report the picture, the stronger reason.
    return left_out | _by_picture(facts, index, rules)


def _by_picture(facts: pa.Table, index: BenchmarkIndex, rules: BenchmarkRules) -> LeftOut:
    known = _Known.of(index.items)
    everywhere = np.arange(len(facts))
    matches = known.nearest(_Pictures.of(facts), everywhere, rules.picture_bits)
    ids = facts["id"].to_pylist()
    return {
        ids[row]: Finding(
            Reason.BENCHMARK_OVERLAP, f"a picture of {item} (hashes differ in {bits} bits)"
        )
        for row, (item, bits) in matches.items()
    }


def _by_text(facts: pa.Table, index: BenchmarkIndex, rules: BenchmarkRules) -> LeftOut:
    texts = _Texts(index.items, rules)
    asking = defaultdict(list)
    for row, instruction in enumerate(facts["instruction"].to_pylist()):
        for text in texts.matching(instruction_words(instruction)):
            asking[text].append(row)
    pictures = _Pictures.of(facts)
    ids = facts["id"].to_pylist()
    left_out: LeftOut = {}
    for words, rows in sorted(asking.items()):
        items = texts.items[words]
        matches = _Known.of(items).nearest(pictures, np.array(rows), rules.picture_bits_with_text)
        for row in rows if len(words) >= rules.min_words_alone else matches:
            if row in matches:
                item, bits = matches[row]
                detail = f"instruction of {item}, and a picture like its ({bits} bits differ)"
            else:
                detail = f"instruction of {items[0]}, which is too long to be a coincidence"
            left_out[ids[row]] = Finding(Reason.BENCHMARK_OVERLAP, detail)
    return left_out


class _Pictures(NamedTuple):
    """Hashes of sources and edited picture of each edit, with a mask of existing ones."""

    hashes_NP: np.ndarray
    there_NP: np.ndarray

    @classmethod
    def of(cls, facts: pa.Table) -> Self:
        sources_NS = source_hashes(facts)
        counts_N = np.diff(facts["sources"].combine_chunks().offsets.to_numpy())
        there_NS = np.arange(sources_NS.shape[1]) < counts_N[:, None]
        has_edited_N = ~facts["edited"].is_null().to_numpy()
        return cls(
            np.column_stack([sources_NS, edited_hashes(facts)]),
            np.column_stack([there_NS, has_edited_N]),
        )


class _Known(NamedTuple):
    """The pictures of benchmark items."""

    owners: list[BenchmarkItem]
    """One for each hash."""
    hashes_R: np.ndarray

    @classmethod
    def of(cls, items: Sequence[BenchmarkItem]) -> Self:
        owners = [item for item in items for _ in item.fingerprints]
        return cls(owners, to_bits(digits for item in items for digits in item.fingerprints))

    def nearest(
        self, pictures: _Pictures, rows: np.ndarray, max_bits: int
    ) -> dict[int, tuple[BenchmarkItem, int]]:
        """For each row with one of these pictures, its item and distance."""
        matches = {}
        # From the last picture to the first: of several matches, the source wins.
        for picture in reversed(range(pictures.hashes_NP.shape[1])):
            there = rows[pictures.there_NP[rows, picture]]
            hashes = pictures.hashes_NP[there, picture]
            found = nearest(hashes, self.hashes_R, max_bits)
            for at in np.flatnonzero(found >= 0).tolist():
                number = int(found[at])
                bits = int(np.bitwise_count(hashes[at] ^ self.hashes_R[number]))
                matches[int(there[at])] = (self.owners[number], bits)
        return matches


class _Texts:
    """Benchmark instructions, indexed by words and by word sequences."""

    def __init__(self, items: Iterable[BenchmarkItem], rules: BenchmarkRules) -> None:
        self.items: defaultdict[Words, list[BenchmarkItem]] = defaultdict(list)
        for item in items:
            self.items[tuple(instruction_words(item.instruction))].append(item)
        self.items.pop((), None)
        self._n_gram = rules.n_gram
        self._needed: dict[Words, float] = {}
        self._by_run: defaultdict[int, list[Words]] = defaultdict(list)
        for words in self.items:
            runs = n_gram_keys(words, self._n_gram)
            self._needed[words] = rules.min_contained_share * len(runs)
            for run in runs:
                self._by_run[run].append(words)

    def matching(self, words: Sequence[str]) -> set[Words]:
        """Benchmark instructions equal to this one or contained in it."""
        shared = Counter(
            text for run in n_gram_keys(words, self._n_gram) for text in self._by_run.get(run, ())
        )
        found = {text for text, count in shared.items() if count >= self._needed[text]}
        return found | {tuple(words)} & self.items.keys()
