"""The pipeline that builds training data from an edit data set, a task a shard."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from kfp import dsl

from components.data_building.component import (
    annotate_edits,
    gather_edits,
    pack_edits,
    prepare_edits,
    select_edits,
)
from components.reward_deployment.component import close_run, open_run
from pipelines.compiling import Form, write_pipeline
from pipelines.images import BY_TAG, Images
from pipelines.placement import Placement, give_teacher_key
from pipelines.resources import Resources
from spatialreward.data.corpus.config import CorpusConfig

NO_RESOURCES: Mapping[str, Resources] = MappingProxyType({})
_LAST_STEP = "gather-edits"
"""Every other one comes before it."""


def num_steps(config: CorpusConfig) -> int:
    """Tasks of a run, for its progress."""
    stages_of_a_shard = 2 if config.teacher is None else 3
    return stages_of_a_shard * config.num_shards + (2 if config.teacher is None else 3)


def build_data_pipeline(
    config: CorpusConfig, placement: Placement
) -> dsl.base_component.BaseComponent:
    """The graph of all steps, between the opening and closing of its run.

    Raises:
        InvalidInputError: an image is not in the lock.
    """
    steps = _steps(config, placement)

    @dsl.pipeline(name=f"data-{config.name}", description="Training data from an edit data set.")
    def data(parent_run_id: str = "") -> str:
        opened = open_run(
            name=f"data {config.name}",
            profile=f"data-{config.name}",
            settings=config.model_dump_json(),
            parent_run_id=parent_run_id,
        )
        work = steps(parent_run_id=parent_run_id).after(opened)
        closed = close_run(has_train_jobs=False, last_step=_LAST_STEP, parent_run_id=parent_run_id)
        closed.after(work).ignore_upstream_failure()
        for task, step in ((opened, "open_run"), (closed, "close_run")):
            placement.place(task, step, pure=False)
        return work.output

    return data


def compile_data_pipeline(
    config: CorpusConfig,
    out: Path,
    resources: Mapping[str, Resources] = NO_RESOURCES,
    images: Images = BY_TAG,
    form: Form = Form.PIPELINE,
) -> None:
    """Write the pipeline as YAML.

    Raises:
        InvalidInputError: an image is not in the lock.
    """
    placement = Placement(f"data-{config.name}", resources, images)
    write_pipeline(build_data_pipeline(config, placement), out, form)


def _steps(config: CorpusConfig, placement: Placement) -> dsl.base_component.BaseComponent:
    """One that asks nobody has no step that does.

    What reads the source, or the benchmarks, is not pure: their files are no arguments.
    """
    numbers = list(range(config.num_shards))
    settings = config.model_dump_json()
    place, parallel = placement.place, placement.parallel

    @dsl.pipeline(name=f"steps-{config.name}", description="The work.")
    def steps(parent_run_id: str) -> str:
        run = {"config": settings, "parent_run_id": parent_run_id}
        with dsl.ParallelFor(
            numbers, name="prepare", parallelism=parallel("prepare_edits")
        ) as shard:
            one = place(
                prepare_edits(shard=shard, **run), "prepare_edits", pure=False, in_loop=True
            )
        shards = dsl.Collected(one.output)
        if config.teacher is not None:
            early = place(
                select_edits(shards=shards, final=False, **run), "select_edits", pure=False
            )
            with dsl.ParallelFor(
                early.output, name="annotate", parallelism=parallel("annotate_edits")
            ) as part:
                one = place(annotate_edits(part=part, **run), "annotate_edits", in_loop=True)
            if variable := config.teacher.key_variable:
                give_teacher_key(one, variable)
            shards = dsl.Collected(one.output)
        selection = place(
            select_edits(shards=shards, final=True, **run), "select_edits", pure=False
        )
        # What a shard's task needs comes as the loop's item: kfp's local runner (2.17) hands the
        # item on in place of any other task's output that is used inside of a loop.
        with dsl.ParallelFor(
            selection.output, name="pack", parallelism=parallel("pack_edits")
        ) as part:
            packed = place(pack_edits(part=part, **run), "pack_edits", in_loop=True)
        gathered = gather_edits(packed=dsl.Collected(packed.output), **run)
        return place(gathered, "gather_edits", pure=False).output

    return steps
