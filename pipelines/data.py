"""The data pipeline: from the generated world, or from an edit data set.

It also makes the initial models that count as data: the tiny editor, and the edits it draws for the
judge.
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import pipeline_channel

from components.data_building.component import (
    annotate_edits,
    build_shard,
    gather_edits,
    import_data,
    merge_shards,
    pack_edits,
    prepare_edits,
    select_edits,
)
from components.rl_finetuning.component import draw_edits, pretrain_editor
from pipelines.compiling import answer_of
from pipelines.placement import Placement, give_teacher_key
from pipelines.settings import CorpusData, Profile, WorldData
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.ops.config import EditDrawingStep, EditorPretrainingStep


class CorpusAnswers(NamedTuple):
    """References of the data from an edit data set."""

    data: str


class EditsAnswers(NamedTuple):
    """References of edits of the world."""

    data: str
    heldout: str


class WorldAnswers(NamedTuple):
    """The same with an editor trained on them."""

    data: str
    heldout: str
    editor: str


class DrawnAnswers(NamedTuple):
    """The same with edits drawn by the editor."""

    data: str
    heldout: str
    editor: str
    drawn: str


def answers_of(
    profile: Profile,
) -> type[CorpusAnswers | EditsAnswers | WorldAnswers | DrawnAnswers]:
    """Outputs of a profile's data pipeline."""
    if isinstance(profile.data, CorpusData):
        return CorpusAnswers
    if profile.published:
        return EditsAnswers
    return DrawnAnswers if profile.draws_edits else WorldAnswers


def last_data_step(profile: Profile) -> str:
    """The step that finishes after all others."""
    if isinstance(profile.data, CorpusData):
        return "gather-edits"
    if profile.published:
        return "merge-shards"
    return "draw-edits" if profile.draws_edits else "pretrain-editor"


def num_data_steps(profile: Profile) -> int:
    """Number of tasks in a run, for its progress."""
    match profile.data:
        case CorpusData(corpus=corpus):
            stages = 2 if corpus.teacher is None else 3
            return stages * corpus.num_shards + stages
        case WorldData(num_shards=shards):
            return shards + 2 + (0 if profile.published else 1 + profile.draws_edits)


def data_steps(profile: Profile, placement: Placement) -> dsl.base_component.BaseComponent:
    """The graph that makes a profile's data."""
    match profile.data:
        case CorpusData(corpus=corpus):
            return _corpus_steps(corpus, placement)
        case WorldData():
            return _world_steps(profile, placement)


def imported(
    reference: object, placement: Placement, parent_run_id: object, *, name: str
) -> pipeline_channel.PipelineChannel:
    """A given data set, as an artifact of the store."""
    task = import_data(reference=reference, parent_run_id=parent_run_id)
    # A folder may change under one path.
    placement.place(task, "import_data", pure=False).set_display_name(name)
    return answer_of(task)


def _world_steps(profile: Profile, placement: Placement) -> dsl.base_component.BaseComponent:
    world, place = profile.world, placement.place
    settings, numbers = world.model_dump_json(), list(range(world.num_shards))
    drawing = EditDrawingStep(drawing=profile.drawing, world=world).model_dump_json()
    # The content of a folder is not part of a step's arguments.
    own_pictures = bool(world.photos)
    parallel = placement.parallel("build_shard")
    answers = answers_of(profile)

    @dsl.pipeline(name="data", description="Edits of the generated world, and an editor.")
    def data(parent_run_id: str) -> answers:
        run = {"parent_run_id": parent_run_id}
        heldout = build_shard(config=settings, split="heldout", shard=0, **run)
        place(heldout, "build_shard", pure=not own_pictures).set_display_name("build-heldout")
        with dsl.ParallelFor(numbers, name="shards", parallelism=parallel) as shard:
            built = build_shard(config=settings, split="train", shard=shard, **run)
            place(built, "build_shard", pure=not own_pictures, in_loop=True)
        merged = merge_shards(shards=dsl.Collected(built.output), **run).after(heldout)
        place(merged, "merge_shards")
        if profile.published:
            return answers(answer_of(merged), heldout.output)
        pretraining = EditorPretrainingStep(editor=profile.editor).model_dump_json()
        editor = pretrain_editor(config=pretraining, data=answer_of(merged), **run)
        place(editor, "pretrain_editor")
        made = (answer_of(merged), heldout.output, answer_of(editor))
        if not profile.draws_edits:
            return answers(*made)
        drawn = draw_edits(config=drawing, editor=answer_of(editor), **run)
        place(drawn, "draw_edits", pure=not own_pictures)
        return answers(*made, answer_of(drawn))

    return data


def _corpus_steps(config: CorpusConfig, placement: Placement) -> dsl.base_component.BaseComponent:
    """A task per shard; without a teacher there are no steps for it.

    Steps that read the source, or the benchmarks, are not pure: their files are not arguments.
    """
    numbers = list(range(config.num_shards))
    settings = config.model_dump_json()
    place, parallel = placement.place, placement.parallel

    @dsl.pipeline(name="data", description="Training data from an edit data set.")
    def data(parent_run_id: str) -> CorpusAnswers:
        run = {"config": settings, "parent_run_id": parent_run_id}
        with dsl.ParallelFor(
            numbers, name="prepare", parallelism=parallel("prepare_edits")
        ) as shard:
            one = prepare_edits(shard=shard, **run)
            place(one, "prepare_edits", pure=False, in_loop=True)
        shards = dsl.Collected(one.output)
        if config.teacher is not None:
            early = select_edits(shards=shards, final=False, **run)
            place(early, "select_edits", pure=False)
            with dsl.ParallelFor(
                early.output, name="annotate", parallelism=parallel("annotate_edits")
            ) as part:
                one = place(annotate_edits(part=part, **run), "annotate_edits", in_loop=True)
            if variable := config.teacher.key_variable:
                give_teacher_key(one, variable)
            shards = dsl.Collected(one.output)
        selection = select_edits(shards=shards, final=True, **run)
        place(selection, "select_edits", pure=False)
        # A shard's input is the loop's item: kfp's local runner (2.17) passes the item in place of
        # any other task's output inside a loop.
        with dsl.ParallelFor(
            selection.output, name="pack", parallelism=parallel("pack_edits")
        ) as part:
            packed = place(pack_edits(part=part, **run), "pack_edits", in_loop=True)
        gathered = gather_edits(packed=dsl.Collected(packed.output), **run)
        return CorpusAnswers(answer_of(place(gathered, "gather_edits", pure=False)))

    return data
