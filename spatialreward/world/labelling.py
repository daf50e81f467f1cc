"""Converts generated samples to edits of a data set, and back.

``truth`` carries what only the world knows; the label is a perfect judge's answer.
"""

from pydantic import ValidationError

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Judgement, JudgementStatus, Record
from spatialreward.validation import first_problem
from spatialreward.world.samples import SceneSample, World
from spatialreward.world.truth import Truth
from spatialreward.world.wording import perceptual_reasoning, semantic_reasoning

LABELLED_BY = "the generated world"


class _Hidden(Record):
    """Content of ``truth``."""

    grade: str
    truth: Truth
    world: World


def scene_edit(sample: SceneSample, origin: RowOrigin) -> LabelledEdit:
    """A sample as a labelled row of a data set."""
    return LabelledEdit(
        id=sample.id,
        instruction=sample.instruction,
        sources=(sample.source,),
        edited=sample.edited,
        operation=_operation(sample),
        given_regions=sample.truth.regions,
        label=_label(sample.truth, sample.world),
        truth=_hide(sample),
        given={"grade": sample.grade, **sample.truth.scores.given()},
        origin=origin,
    )


def edit_task(sample: SceneSample) -> EditTask:
    """A sample as a task for an editor."""
    source, _ = sample.images()
    return EditTask([source], sample.instruction, sample.id, _operation(sample), _hide(sample))


def known_world(truth: str | None) -> World:
    """The generated world's record of a task.

    Raises:
        InvalidInputError: there is no truth, or one from another source.
    """
    return _unhide(truth).world


def scene_sample(edit: LabelledEdit) -> SceneSample:
    """Restore the sample of a data set's edit.

    Raises:
        InvalidInputError: its ``truth`` is not the generated world's.
    """
    try:
        hidden = _unhide(edit.truth)
    except InvalidInputError as error:
        raise InvalidInputError(f"edit {edit.id}: {error}") from error
    if edit.edited is None:
        raise InvalidInputError(f"edit {edit.id}: edited: there is no edited picture")
    return SceneSample(
        id=edit.id,
        instruction=edit.instruction,
        grade=hidden.grade,
        source=edit.sources[0],
        edited=edit.edited,
        truth=hidden.truth,
        world=hidden.world,
    )


def _operation(sample: SceneSample) -> str:
    return "+".join(dict.fromkeys(operation.kind for operation in sample.world.operations))


def _hide(sample: SceneSample) -> str:
    hidden = _Hidden(grade=sample.grade, truth=sample.truth, world=sample.world)
    return hidden.model_dump_json()


def _unhide(truth: str | None) -> _Hidden:
    if truth is None:
        raise InvalidInputError("truth: missing, expected one of the generated world's")
    try:
        return _Hidden.model_validate_json(truth)
    except ValidationError as error:
        problem = first_problem(error, _Hidden)
        raise InvalidInputError(f"truth: is none of the generated world's: {problem}") from error


def _label(truth: Truth, world: World) -> Judgement:
    """The truth as an answer."""
    return Judgement(
        status=JudgementStatus.OK,
        regions=truth.regions,
        sc_reasoning=semantic_reasoning(truth, world),
        pq_reasoning=perceptual_reasoning(truth),
        scores=truth.scores,
        reward=Aggregation().reward(truth.scores),
        judged_by=LABELLED_BY,
    )
