"""GRPO prompts for a judge by number, in the order of the steps.

Every prompt is the same as in serving, about an edit of the data set or about a candidate of one of
its rankings. All candidates of a ranking are in the same step, so that their scores can be
compared. The seed fixes the order before the first step.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.regions.overlap import Region
from spatialreward.data.rows import EditRows, RankingRows
from spatialreward.data.views import JudgePrompt, judge_prompts
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.progress import track
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Scores, Streams
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.training.rewards import Known, Place

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor

logger = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A prompt for the trainer, with the labels for its answers."""

    id: str
    message: dict[str, Any]
    pictures: list[Image.Image]
    """In the judge's picture size."""
    instruction: str
    known: Known


class _OfEdit(NamedTuple):
    row: int
    stream: Streams


class _OfRanking(NamedTuple):
    ranking: int
    candidate: int


class GrpoPrompts:
    """The prompts of all steps, by number; those of a step are consecutive."""

    def __init__(
        self, data: Dataset, config: GrpoConfig, protocol: Protocol, processor: "Processor"
    ) -> None:
        """Read edits and rankings once, without their pictures, and plan the steps.

        Args:
            data: edits, and rankings if there are some.
            config: shares and rewards; an enabled reward needs its labels.
            protocol: gives the prompts.
            processor: of the judge, following the protocol.

        Raises:
            InvalidInputError: a trained stream has no prompts, an enabled reward has no labels, or
                a ranking is unusable.
        """
        self._protocol = protocol
        self._processor = processor
        self._ranked = config.rankings
        found = _Found(data, protocol)
        found.check(config)
        rankings: dict[int, int] = {}
        if config.rankings is not None:
            rankings = _sizes(data, config)
            self._rankings = RankingRows(data)
        self._plan = _planned(config, found.rows, rankings)
        self.num_edits = len(data)
        self.num_rankings = len(rankings)
        self._rows = EditRows(data)

    def __len__(self) -> int:
        """Number of prompts of all steps."""
        return len(self._plan)

    def __getitem__(self, number: int) -> Asked:
        """Prompt ``number``.

        Raises:
            InvalidInputError: a picture cannot be decoded; names the edit.
        """
        match self._plan[number]:
            case _OfEdit(row, stream):
                return self._asked(self._rows[row], stream, None)
            case _OfRanking(ranking, candidate):
                assert self._ranked is not None
                one = self._rankings[ranking]
                place = Place(one.id, candidate, one.orders[self._ranked.dimension])
                return self._asked(_candidate(one, candidate), Streams(self._ranked.stream), place)
        raise AssertionError(f"prompt {number} is of nothing")

    def _asked(self, edit: LabelledEdit, stream: Streams, place: Place | None) -> Asked:
        prompt = _of_stream(judge_prompts(edit, self._protocol), stream)
        name = f"{edit.id}/{stream}"
        pictures = [self._processor.resized(decode_image(one, name)) for one in prompt.pictures]
        known = Known(stream, _regions(edit), _scores(edit, stream), place)
        instruction = edit.instruction if stream is Streams.SEMANTIC else ""
        return Asked(edit.id, prompt.question, pictures, instruction, known)


class _Found:
    """Usable rows for each stream, and their labels."""

    def __init__(self, data: Dataset, protocol: Protocol) -> None:
        self._name = str(data)
        self.rows: dict[Streams, list[int]] = {Streams.SEMANTIC: [], Streams.PERCEPTUAL: []}
        self._with: Counter[str] = Counter()
        edits = track(data.edits(pictures=False), total=len(data), description="reading prompts")
        for row, edit in enumerate(edits):
            for prompt in judge_prompts(edit, protocol):
                self.rows[prompt.stream].append(row)
                self._with["agreement"] += _scores(edit, prompt.stream) is not None
            self._with["iou"] += bool(edit.sources) and _regions(edit) is not None

    def check(self, config: GrpoConfig) -> None:
        """Check that there are prompts, and labels for each reward.

        Raises:
            InvalidInputError: some are missing.
        """
        shares = {
            Streams.SEMANTIC: 1 - config.perceptual_share,
            Streams.PERCEPTUAL: config.perceptual_share,
        }
        only_ranked = config.rankings is not None and config.rankings.share == 1
        for stream, share in shares.items():
            if share and not self.rows[stream] and not only_ranked:
                raise InvalidInputError(
                    f"{self._name}: no edit can be asked about in the stream {stream}, expected "
                    f"perceptual_share = {int(stream is Streams.SEMANTIC)}, got "
                    f"{config.perceptual_share:g}"
                )
        for reward, what in (
            ("agreement", "has a label with scores"),
            ("iou", "has regions, of a label or of its pixels"),
        ):
            if reward in config.rewards.used and not self._with[reward]:
                raise InvalidInputError(
                    f"{self._name}: rewards.{reward} is above 0, but no edit {what}; expected "
                    f"rewards.{reward} = 0 or other data"
                )


def _sizes(data: Dataset, config: GrpoConfig) -> dict[int, int]:
    """Number of usable candidates of each ranking.

    Raises:
        InvalidInputError: there is no ranking, none with the configured dimension, or none small
            enough for a step.
    """
    assert config.rankings is not None
    dimension = config.rankings.dimension
    if not data.num_rankings:
        raise InvalidInputError(
            f"{data}: has no rankings, expected some or no rankings in the settings"
        )
    sizes: dict[int, int] = {}
    others: set[str] = set()
    for number, ranking in enumerate(data.rankings(pictures=False)):
        others |= ranking.orders.keys()
        if dimension in ranking.orders:
            sizes[number] = len(ranking.orders[dimension])
    if not sizes:
        raise InvalidInputError(
            f"{data}: none of {data.num_rankings:,} rankings has an order in rankings.dimension "
            f"{dimension!r}; expected one of {', '.join(sorted(others))}"
        )
    kept = {one: size for one, size in sizes.items() if size <= config.prompts_a_step}
    if not kept:
        raise InvalidInputError(
            f"{data}: the smallest ranking has {min(sizes.values())} edits, and a step has "
            f"{config.prompts_a_step} prompts; expected a larger optimiser.batch_size"
        )
    if left_out := data.num_rankings - len(kept):
        logger.info(
            "%s: dropping %d of %d rankings: no order of %s, or too many edits for a step",
            *(str(data), left_out, data.num_rankings, dimension),
        )
    return kept


def _planned(
    config: GrpoConfig, rows: dict[Streams, list[int]], rankings: dict[int, int]
) -> list[_OfEdit | _OfRanking]:
    """Assign prompts to steps."""
    rng = np.random.default_rng(config.seed)
    edits = {stream: _endlessly(of_stream, rng) for stream, of_stream in rows.items()}
    ranked = _endlessly(list(rankings), rng)
    share = config.rankings.share if config.rankings is not None else 0.0
    plan: list[_OfEdit | _OfRanking] = []
    owed, coming = 0.0, next(ranked, None)

    def fits(step: list[_OfEdit | _OfRanking], ranking: int) -> bool:
        return len(step) + rankings[ranking] <= config.prompts_a_step

    for _ in range(config.num_steps):
        step: list[_OfEdit | _OfRanking] = []
        owed += share * config.prompts_a_step
        # Move a ranking that exceeds a step's room to the next one.
        while coming is not None and owed >= 1 and fits(step, coming):
            step += [_OfRanking(coming, candidate) for candidate in range(rankings[coming])]
            owed -= rankings[coming]
            coming = next(ranked)
        while len(step) < config.prompts_a_step:
            is_perceptual = rng.random() < config.perceptual_share
            stream = Streams.PERCEPTUAL if is_perceptual else Streams.SEMANTIC
            step.append(_OfEdit(next(edits[stream]), stream))
        plan += step
    return plan


def _endlessly(numbers: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
    """All numbers, reshuffled each epoch."""
    while numbers:
        yield from rng.permutation(numbers).tolist()


def _candidate(ranking: Ranking, number: int) -> LabelledEdit:
    """An edit of a ranking, without labels."""
    picture = ranking.edits[number]
    return LabelledEdit(
        id=f"{ranking.id}/{picture.id}",
        instruction=ranking.instruction,
        sources=ranking.sources,
        edited=picture.edited,
        origin=ranking.origin,
    )


def _of_stream(prompts: Iterable[JudgePrompt], stream: Streams) -> JudgePrompt:
    return next(prompt for prompt in prompts if prompt.stream is stream)


def _regions(edit: LabelledEdit) -> Sequence[Region] | None:
    """The label's regions, or those that the pixels propose; None: neither."""
    if edit.label is not None and edit.label.scores is not None and edit.label.scores.is_semantic:
        return edit.label.regions
    return edit.prior.regions if edit.prior is not None else None


def _scores(edit: LabelledEdit, stream: Streams) -> tuple[float, float] | None:
    scores = edit.label.scores if edit.label is not None else None
    if scores is None:
        return None
    pair = _pair(scores, stream)
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def _pair(scores: Scores, stream: Streams) -> tuple[float | None, float | None]:
    if stream is Streams.SEMANTIC:
        return scores.editing_success, scores.over_editing
    return scores.naturalness, scores.artifact_freedom
