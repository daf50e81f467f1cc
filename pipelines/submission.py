"""What ``spatialreward submit`` finds through the entry point ``spatialreward.pipelines``."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.dag import compile_pipeline
from pipelines.images import Images
from pipelines.profile import load_profile


def compile_profile(
    profile: str,
    overrides: Sequence[str],
    out: Path,
    *,
    images_lock: Path | None,
    registry: str,
) -> None:
    """See ``spatialreward.ops.kubeflow.compiling.Compile``."""
    images = Images.of(images_lock, registry)
    compile_pipeline(load_profile(profile, overrides), Path(profile).stem, out, images)
