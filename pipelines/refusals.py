"""Refuses impossible pipelines before anything starts, in one line with the reason.

Compiling and submitting check what no cluster could run; a local run also checks this machine.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from pipelines.parts import INPUTS, Part, inputs_of
from pipelines.resources import Resources
from pipelines.settings import (
    CorpusData,
    CorpusStep,
    EditorStep,
    JudgeStep,
    OnNodes,
    Profile,
    StepName,
    WorldData,
    WorldStep,
)
from spatialreward.artifacts import ArtifactRef
from spatialreward.chat.keys import key_of
from spatialreward.data.sources.config import WorldSource
from spatialreward.errors import InvalidInputError
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.ops.config import (
    FolderBase,
    HubBase,
    ShippedBase,
)
from spatialreward.world.shipped import SHIPPED_BASE

_GIB = 1 << 30
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_EDITOR_INDEX = "model_index.json"


def refuse(profile: Profile, name: str, part: Part, given: Mapping[str, str]) -> None:
    """Refuse a pipeline that cannot run anywhere.

    Args:
        profile: its settings.
        name: the profile's name.
        part: which pipeline.
        given: references by the names of ``INPUTS``; empty ones are not given.

    Raises:
        InvalidInputError: a part of it does not exist in this version, or a reference is missing,
            unused, or unreadable from elsewhere.
    """
    refuse_parts(profile, name, part)
    _first(f"--pipeline {part}", _wrong_inputs(profile, part, given))


def refuse_parts(profile: Profile, name: str, part: Part) -> None:
    """Refuse a pipeline with a part that does not exist in this version, for any inputs.

    Raises:
        InvalidInputError: names the part.
    """
    _first(f"profile {name}", _missing_parts(profile, part))


def refuse_elsewhere(profile: Profile, part: Part, given: Mapping[str, str]) -> None:
    """Refuse references that only this machine can read.

    Raises:
        InvalidInputError: one is a folder or a file.
    """
    named = {f"--{what}": reference for what, reference in given.items()}
    if part.makes_editor:
        named |= _prompts_of(profile)
    for what, reference in named.items():
        if reference and not _is_elsewhere(reference):
            raise InvalidInputError(
                f"{what} {reference}: a pod does not see this machine's folders, expected "
                "s3://BUCKET/PREFIX#sha256=HEX or hub:OWNER/NAME@REVISION"
            )


def refuse_here(profile: Profile, name: str, part: Part, given: Mapping[str, str]) -> None:
    """Refuse a pipeline that cannot run on this machine.

    Raises:
        InvalidInputError: names all that is missing.
    """
    refuse(profile, name, part, given)
    missing = [
        *(_missing_base(profile) if part.makes_judge else ()),
        *(_missing_consistency_key(profile) if part.makes_judge else ()),
        *(_missing_source(profile) if part.makes_data else ()),
        *(_missing_editor(profile) if part.makes_editor else ()),
        *_missing_resources(profile, part),
    ]
    if missing:
        raise InvalidInputError(f"profile {name} cannot run on this machine: {'; '.join(missing)}")
    for what, reference in given.items():
        if reference and not _is_elsewhere(reference) and not Path(reference).is_dir():
            raise InvalidInputError(f"--{what} {reference}: no such folder")


def _first(where: str, problems: Iterator[str]) -> None:
    if problem := next(problems, None):
        raise InvalidInputError(f"{where}: {problem}")


def _missing_parts(profile: Profile, part: Part) -> Iterator[str]:
    published, data = profile.published, profile.data
    if part.makes_judge:
        yield from _uneven_batches(profile)
    if published and part.makes_data and isinstance(data, WorldData) and profile.draws_edits:
        yield (
            f"judge.training.drawn_share: expected 0, since {published.name} is no editor that "
            "draws edits of the generated world for the judge"
        )
    if part is Part.FULL and isinstance(data, CorpusData):
        if profile.draws_edits:
            yield "judge.training.drawn_share: expected 0, since data.kind corpus draws no edits"
        if not _is_labelled(data):
            yield "data.corpus: its edits have no labels, and no [data.corpus.teacher] makes any"
    if part.makes_editor:
        yield from _uneven_groups(profile)
    yield from _idle_gpus(profile, part)


def _uneven_groups(profile: Profile) -> Iterator[str]:
    """The prompts of an RL step must divide among its processes."""
    rl = profile.rl
    processes = _processes_of(profile, "finetune_editor", rl.processes)
    if rl.num_prompts < processes:
        yield (
            f"rl.num_prompts: expected one at least for each of {processes} processes, got "
            f"{rl.num_prompts}"
        )
    try:
        rl.check_divides(processes)
    except ValueError as error:
        yield f"rl: {error}"


def _processes_of(profile: Profile, step: OnNodes, of_one_node: int) -> int:
    """Those of a TrainJob, one per GPU, or those that the step starts on a single node."""
    wanted = profile.resources.get(step, Resources())
    return of_one_node if wanted.num_nodes == 1 else wanted.num_nodes * max(wanted.gpus, 1)


def _idle_gpus(profile: Profile, part: Part) -> Iterator[str]:
    """On one node each GPU needs a process of its own; on several nodes torchrun starts them."""
    training, grpo = profile.judge.training, profile.judge.grpo
    processes: dict[StepName, tuple[str, int]] = {}
    if part.makes_judge:
        processes["train_judge"] = ("judge.training.processes", training.processes)
        if grpo is not None:
            processes["tune_judge"] = ("judge.grpo.processes", grpo.processes)
    if part.makes_editor:
        processes["finetune_editor"] = ("rl.processes", profile.rl.processes)
    for step, (setting, count) in processes.items():
        wanted = profile.resources.get(step, Resources())
        if wanted.num_nodes == 1 and wanted.gpus > count:
            yield (
                f"resources.{step}.gpus {wanted.gpus}: {wanted.gpus - count} would be idle, "
                f"expected {setting} = {wanted.gpus}, got {count}"
            )


def _uneven_batches(profile: Profile) -> Iterator[str]:
    """A batch must divide among the training processes."""
    training = profile.judge.training
    processes = _processes_of(profile, "train_judge", training.processes)
    batch = training.optimiser.batch_size
    if batch % processes:
        yield (
            f"judge.training.optimiser.batch_size {batch}: cannot be divided evenly among "
            f"{processes} processes"
        )
    grpo = profile.judge.grpo
    if grpo is not None and grpo.optimiser.batch_size % grpo.processes:
        yield (
            f"judge.grpo.optimiser.batch_size {grpo.optimiser.batch_size}: cannot be divided "
            f"evenly among {grpo.processes} processes"
        )


def _is_labelled(data: CorpusData) -> bool:
    source = data.corpus.source
    if data.corpus.teacher is not None or isinstance(source, WorldSource):
        return True
    return any(columns.answers is not None for columns in source.mapping)


def _wrong_inputs(profile: Profile, part: Part, given: Mapping[str, str]) -> Iterator[str]:
    needed = inputs_of(profile, part)
    missing = [what for what in needed if not given.get(what)]
    if missing:
        why = ""
        if "drawn" in missing:
            share = profile.judge.training.drawn_share
            why = f"; --set judge.training.drawn_share=0, now {share:g}, does without --drawn"
        elif profile.published and part is Part.EDITOR:
            why = (
                f"; {profile.published.name} gets tasks of these, unless rl.prompts, "
                "rl.watch.prompts and editor_evaluation.prompts name others"
            )
        yield f"needs {', '.join(f'--{what} REF' for what in missing)}{why}"
    for what in INPUTS:
        reference = given.get(what, "")
        if reference and what not in needed:
            yield f"--{what} {reference}: is not an input of it"
        if reference.startswith("s3://") or (reference and what == "editor"):
            yield from _no_artifact(what, reference)
        if reference.startswith("hub:") and "@" not in reference:
            yield f"--{what} {reference}: expected hub:OWNER/NAME@REVISION"


def _prompts_of(profile: Profile) -> dict[str, str]:
    """Tasks for an editor in the settings, by key."""
    return {
        "rl.prompts": profile.rl.prompts,
        "rl.watch.prompts": profile.rl.watch.prompts,
        "editor_evaluation.prompts": profile.editor_evaluation.prompts,
    }


def _is_elsewhere(reference: str) -> bool:
    return reference.startswith(("s3://", "hub:"))


def _no_artifact(what: str, reference: str) -> Iterator[str]:
    try:
        ArtifactRef.parse(reference)
    except InvalidInputError as error:
        yield f"--{what} {error}"


def _missing_base(profile: Profile) -> Iterator[str]:
    match profile.judge.base:
        case HubBase(repository=repository, revision=revision):
            if not _is_cached(repository, revision, "config.json", _WEIGHTS):
                yield (
                    f"judge.base: {repository} is not in this machine's cache: "
                    f"hf download {repository} --revision {revision}"
                )
        case FolderBase(folder=folder) if not (folder / "config.json").is_file():
            yield f"judge.base.folder: no checkpoint in {folder}"
        case ShippedBase() if not (SHIPPED_BASE / "config.json").is_file():
            yield f"judge.base: the shipped base is not in {SHIPPED_BASE}"


def _missing_editor(profile: Profile) -> Iterator[str]:
    for key, prompts in _prompts_of(profile).items():
        if prompts and not _is_elsewhere(prompts) and not Path(prompts).exists():
            yield f"{key}: {prompts} is not there"
    match profile.published and profile.published.base:
        case HubBase(repository=repository, revision=revision):
            if not _is_cached(repository, revision, _EDITOR_INDEX, ()):
                yield (
                    f"editor.base: {repository} is not in this machine's cache: "
                    f"hf download {repository} --revision {revision}"
                )
        case FolderBase(folder=folder) if not (folder / _EDITOR_INDEX).is_file():
            yield f"editor.base.folder: no editor in {folder}, expected {_EDITOR_INDEX}"


def _is_cached(repository: str, revision: str, first: str, weights: Sequence[str]) -> bool:
    """Whether the hub's cache has a file, and one of those with weights if any are given."""
    from huggingface_hub import try_to_load_from_cache

    def here(file: str) -> bool:
        return isinstance(try_to_load_from_cache(repository, file, revision=revision), str)

    return here(first) and (not weights or any(map(here, weights)))


def _missing_source(profile: Profile) -> Iterator[str]:
    if not isinstance(profile.data, CorpusData):
        return
    from spatialreward.data.corpus.running import lineage_of

    corpus = profile.data.corpus
    try:
        if corpus.teacher is not None:
            key_of(corpus.teacher)
        lineage_of(corpus)
    except InvalidInputError as error:
        yield str(error)


def _missing_consistency_key(profile: Profile) -> Iterator[str]:
    grpo = profile.judge.grpo
    if grpo is None or grpo.consistency_judge is None:
        return
    try:
        key_of(OpenAiConfig.parse(grpo.consistency_judge))
    except InvalidInputError as error:
        yield f"judge.grpo.consistency_judge: {error}"


def _missing_resources(profile: Profile, part: Part) -> Iterator[str]:
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    cpus = os.cpu_count() or 1
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    asked = {step: profile.resources.get(step, Resources()) for step in _steps_of(profile, part)}
    steps = [
        step
        for step, wanted in asked.items()
        if wanted.gpus > gpus
        or (wanted.cpus or 0) > cpus
        or (wanted.memory_gib or 0) > memory_gib
        or wanted.num_nodes > 1
    ]
    if steps:
        yield (
            f"resources: {', '.join(steps)} want more than is here, which is one node with {gpus} "
            f"GPUs, {cpus} CPUs and {memory_gib:.1f} GiB of memory"
        )


def _steps_of(profile: Profile, part: Part) -> tuple[str, ...]:
    data = CorpusStep if isinstance(profile.data, CorpusData) else WorldStep
    return (
        *(get_args(data) if part.makes_data else ()),
        *(get_args(JudgeStep) if part.makes_judge else ()),
        *(get_args(EditorStep) if part.makes_editor else ()),
    )
