"""Edits of the generated world, with its truth: regions and scores that are known."""

from collections.abc import Iterator
from typing import Any

from spatialreward.data.building import draw_samples
from spatialreward.data.edits import Annotation, RawEdit, Rejected, RowOrigin
from spatialreward.data.samples import EditSample
from spatialreward.data.sources.config import WorldSource
from spatialreward.data.sources.sharding import contiguous
from spatialreward.data.world.truth import Truth

LABELLED_BY = "the generated world"


class WorldEdits:
    """Samples of one split, drawn when they are asked for."""

    def __init__(self, config: WorldSource) -> None:
        """Take the settings; nothing is drawn yet."""
        self._config = config

    def rows(self, shard: int, num_shards: int) -> Iterator[RawEdit | Rejected]:
        """See ``EditSource``.

        Raises:
            InvalidInputError: there is no such part, or a photo of the settings cannot be read.
        """
        config = self._config
        numbers = contiguous(config.count, shard, num_shards)
        drawn = draw_samples(config.data, config.split, len(numbers), first=numbers.start)
        for number, sample in zip(numbers, drawn, strict=True):
            yield _edit(sample, number, f"world seed {config.data.seed} {config.split}")

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``."""
        return min(self._config.count, at_most)

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``: the settings say everything."""
        return self._config.model_dump(mode="json")


def _edit(sample: EditSample, number: int, file: str) -> RawEdit:
    kinds = dict.fromkeys(operation.kind for operation in sample.world.operations)
    return RawEdit(
        id=sample.id,
        instruction=sample.instruction,
        sources=(sample.source,),
        edited=sample.edited,
        operation="+".join(kinds),
        regions=sample.truth.regions,
        annotation=_label(sample.truth),
        given={"grade": sample.grade, **sample.truth.scores.given()},
        origin=RowOrigin(file=file, row=str(number)),
    )


def _label(truth: Truth) -> Annotation:
    """The truth in the words of a teacher's answer."""
    told = [
        f"<|bbox_{number}|> {change.before} to {change.after}: {change.verdict}."
        for number, change in enumerate(truth.changes)
    ]
    verdict = f"<|global|> {truth.done} of {truth.asked} changes are as asked."
    return Annotation(
        regions=truth.regions,
        sc_reasoning=" ".join([*told, verdict]),
        pq_reasoning=f"{truth.artifact or 'no artifact'}",
        scores=truth.scores,
        teacher=LABELLED_BY,
    )
