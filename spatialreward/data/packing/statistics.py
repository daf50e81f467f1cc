"""Statistics for a data card, collected shard by shard from columns without pictures.

Memory depends on the number of bins and of kinds of operation, not on the number of edits.
"""

import hashlib
import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from spatialreward.data.packing.manifest import Manifest
from spatialreward.data.packing.schema import SCORES
from spatialreward.data.packing.shards import read_facts
from spatialreward.records import BOX_SCALE, MAX_SCORE

MOST_REGIONS = 8
"""More regions than this share a bin."""
_COLUMNS = (
    "id",
    "operation",
    "extent",
    "changed_share",
    *SCORES,
    "width",
    "height",
    "picture_bytes",
    "prior",
    "annotation",
)


class Histogram:
    """Counts of values by bins, and their mean; values beyond the edges go to the outer bins."""

    def __init__(self, edges: Sequence[float]) -> None:
        """Start empty; ``edges`` ascend, and bins include their lower one."""
        self.edges = np.asarray(edges, dtype=float)
        self.counts = np.zeros(len(self.edges) - 1, dtype=np.int64)
        self.smallest, self.largest = float("inf"), float("-inf")
        self._total = 0.0

    def add(self, values: Iterable[float]) -> None:
        """Count further values."""
        found = np.fromiter(values, dtype=float)
        if not len(found):
            return
        self.counts += np.histogram(found.clip(self.edges[0], self.edges[-1]), self.edges)[0]
        self.smallest = min(self.smallest, float(found.min()))
        self.largest = max(self.largest, float(found.max()))
        self._total += float(found.sum())

    @property
    def num_values(self) -> int:
        """Number of counted values."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean of the values themselves; NaN if there are none."""
        return self._total / self.num_values if self.num_values else float("nan")


class Place(NamedTuple):
    """Location of one edit in a packed data set."""

    shard: str
    row: int


class Statistics:
    """Distributions over a data set's edits, and some sample edits."""

    def __init__(self, num_samples: int) -> None:
        """Start empty; keep ``num_samples`` edits of each kind to choose from."""
        self.scores = {name: Histogram(np.arange(MAX_SCORE + 2) - 0.5) for name in SCORES}
        """One bin per whole score."""
        self.changed_share = Histogram(np.linspace(0, 1, 21))
        """Share of the picture in the mask of changed pixels; bins of five percent."""
        self.num_regions = Histogram(np.arange(MOST_REGIONS + 2) - 0.5)
        """Regions per edit: the teacher's, or the proposed ones of an edit without annotation."""
        self.region_area = Histogram(np.linspace(0, 1, 21))
        """Share of the picture that a region's box covers."""
        self.evidence = Histogram(np.linspace(0, 1, 21))
        """Of proposed regions."""
        self.longest_side_px = Histogram(np.arange(0, 2049 + 128, 128))
        self.kilobytes = Histogram(np.arange(0, 2001, 50))
        """Of an edit's pictures together, in 1000 bytes."""
        self._num_samples = num_samples
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._drawn: dict[tuple[str, str], list[tuple[int, Place]]] = defaultdict(list)

    def add(self, facts: pa.Table, shard: str) -> None:
        """Count the edits of a shard; ``facts`` are its rows without pictures."""
        for name, histogram in self.scores.items():
            histogram.add(facts[name].drop_null().to_pylist())
        self.changed_share.add(facts["changed_share"].drop_null().to_pylist())
        self.kilobytes.add(size / 1000 for size in facts["picture_bytes"].to_pylist())
        sides = zip(facts["width"].to_pylist(), facts["height"].to_pylist(), strict=True)
        self.longest_side_px.add(max(width, height) for width, height in sides)
        priors, annotations = facts["prior"].to_pylist(), facts["annotation"].to_pylist()
        for prior, annotation in zip(priors, annotations, strict=True):
            self._add_regions(prior, annotation)
        columns = (facts[name].to_pylist() for name in ("id", "extent", "operation"))
        for row, (edit, extent, operation) in enumerate(zip(*columns, strict=True)):
            self._maybe_draw(edit, (extent or "", operation), Place(shard, row))

    def samples(self) -> list[Place]:
        """Sample edits: one of the most frequent kind (extent and operation), then of the next.

        A hash of the id selects the edit within a kind, deterministically.
        """
        kinds = [kind for kind, _ in self._kinds.most_common()]
        ranked = {kind: sorted(self._drawn[kind], reverse=True) for kind in kinds}
        rounds = (
            ranked[kind][turn : turn + 1] for turn in range(self._num_samples) for kind in kinds
        )
        return [place for found in rounds for _, place in found][: self._num_samples]

    def _add_regions(self, prior: str | None, annotation: str | None) -> None:
        proposed = json.loads(prior)["regions"] if prior is not None else []
        self.evidence.add(region["evidence"] for region in proposed)
        if prior is None:
            return
        label = None if annotation is None else json.loads(annotation)
        # A label of the PQ stream alone has no regions.
        is_semantic = label is not None and label["scores"]["editing_success"] is not None
        regions = label["regions"] if is_semantic else proposed
        self.num_regions.add([len(regions)])
        self.region_area.add(_area(region["bbox_2d"]) for region in regions)

    def _maybe_draw(self, edit: str, kind: tuple[str, str], place: Place) -> None:
        self._kinds[kind] += 1
        rank = int.from_bytes(hashlib.sha256(edit.encode()).digest()[:8], "big")
        drawn = self._drawn[kind]
        heapq.heappush(drawn, (rank, place))
        if len(drawn) > self._num_samples:
            heapq.heappop(drawn)


def statistics_of(folder: Path, manifest: Manifest, num_samples: int) -> Statistics:
    """Statistics of the packed data set in ``folder``; reads no pictures.

    Raises:
        InvalidInputError: a shard is missing or damaged.
    """
    statistics = Statistics(num_samples)
    for shard in manifest.shards:
        statistics.add(read_facts(folder / shard.name, _COLUMNS), shard.name)
    return statistics


def _area(box: Sequence[int]) -> float:
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0) * max(y2 - y1, 0) / BOX_SCALE**2
