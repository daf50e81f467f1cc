"""The entry point ``spatialreward.pipelines`` of ``spatialreward submit``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.full import compile_pipeline
from pipelines.images import Images
from pipelines.parts import Part
from pipelines.profile import load_profile
from pipelines.refusals import refuse, refuse_elsewhere


def compile_profile(
    profile: str,
    overrides: Sequence[str],
    out: Path,
    *,
    pipeline: str,
    given: Mapping[str, str],
    images_lock: Path | None,
    registry: str,
) -> None:
    """See ``spatialreward.ops.kubeflow.compiling.compile_profile``."""
    settings, part, name = load_profile(profile, overrides), Part(pipeline), Path(profile).stem
    refuse(settings, name, part, given)
    refuse_elsewhere(settings, part, given)
    compile_pipeline(settings, name, part, out, Images.of(images_lock, registry))
