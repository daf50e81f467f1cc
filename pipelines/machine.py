"""Whether this machine can run a profile, found out before anything starts."""

import os
from pathlib import Path
from typing import get_args

from pipelines.profile import PipelineStep, Profile
from pipelines.resources import Resources
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import FolderBase, HubBase, OmniGen2Config, ShippedBase
from spatialreward.world.shipped import SHIPPED_BASE

_GIB = 1 << 30


def check_runnable(profile: Profile, name: str) -> None:
    """Refuse a profile of which some part cannot run here.

    Raises:
        InvalidInputError: names all such parts.
    """
    missing = [*_missing_models(profile), *_missing_resources(profile)]
    if missing:
        raise InvalidInputError(f"profile {name} cannot run on this machine: {'; '.join(missing)}")


def _missing_models(profile: Profile) -> list[str]:
    missing = []
    match profile.judge.base:
        case HubBase(repository=repository):
            missing.append(f"judge.base: {repository} cannot be trained by this version")
        case FolderBase(folder=folder) if not (folder / "config.json").is_file():
            missing.append(f"judge.base.folder: no checkpoint in {folder}")
        case ShippedBase() if not (SHIPPED_BASE / "config.json").is_file():
            missing.append(f"judge.base: the grounded base is not in {SHIPPED_BASE}")
    if isinstance(profile.editor, OmniGen2Config):
        missing.append(f"editor: {profile.editor.repository} cannot be trained by this version")
    return missing


def _missing_resources(profile: Profile) -> list[str]:
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    cpus = os.cpu_count() or 1
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    asked = {step: profile.resources.get(step, Resources()) for step in get_args(PipelineStep)}
    steps = [
        step
        for step, wanted in asked.items()
        if wanted.gpus > gpus
        or (wanted.cpus or 0) > cpus
        or (wanted.memory_gib or 0) > memory_gib
        or wanted.num_nodes > 1
    ]
    if not steps:
        return []
    return [
        f"resources: {', '.join(steps)} want more than is here, which is one node with {gpus} "
        f"GPUs, {cpus} CPUs and {memory_gib:.1f} GiB of memory"
    ]
