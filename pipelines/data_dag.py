"""The pipeline that builds training data from an edit data set, a task a shard."""

from pathlib import Path

from kfp import compiler, dsl

from components.data_building.component import (
    annotate_edits,
    gather_edits,
    pack_edits,
    prepare_edits,
    select_edits,
)
from spatialreward.data.corpus.config import CorpusConfig


def num_steps(config: CorpusConfig) -> int:
    """Tasks of a run, for its progress."""
    stages_of_a_shard = 2 if config.teacher is None else 3
    return stages_of_a_shard * config.num_shards + (2 if config.teacher is None else 3)


def build_data_pipeline(config: CorpusConfig) -> dsl.base_component.BaseComponent:
    """The graph of all steps; one that asks nobody has no step that does."""
    numbers = list(range(config.num_shards))
    settings = config.model_dump_json()

    @dsl.pipeline(name=f"data-{config.name}", description="Training data from an edit data set.")
    def data(parent_run_id: str = "") -> str:
        run = {"config": settings, "parent_run_id": parent_run_id}
        with dsl.ParallelFor(numbers, name="prepare") as shard:
            one = prepare_edits(shard=shard, **run)
        shards = dsl.Collected(one.output)
        if config.teacher is not None:
            early = select_edits(shards=shards, final=False, **run)
            with dsl.ParallelFor(early.output, name="annotate") as part:
                one = annotate_edits(part=part, **run)
            shards = dsl.Collected(one.output)
        selection = select_edits(shards=shards, final=True, **run)
        # What a shard's task needs comes as the loop's item: kfp's local runner (2.17) hands the
        # item on in place of any other task's output that is used inside of a loop.
        with dsl.ParallelFor(selection.output, name="pack") as part:
            packed = pack_edits(part=part, **run)
        return gather_edits(packed=dsl.Collected(packed.output), **run).output

    return data


def compile_data_pipeline(config: CorpusConfig, out: Path) -> None:
    """Write the pipeline as YAML."""
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build_data_pipeline(config), str(out))
