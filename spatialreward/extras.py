"""Maps each part of the library to the extra that installs the packages it imports."""

import traceback

from spatialreward.errors import SpatialRewardError

EXTRAS = {
    "components": "container",
    "components.data_building": "container,data",
    "components.editor_evaluation": "container,editors",
    "components.reward_evaluation": "container,judge",
    "components.reward_training": "container,grpo",
    "components.rl_finetuning": "container,data,editors,training",
    "pipelines": "pipelines",
    "pipelines.run": "deployer,pipelines,training",
    "spatialreward.ops.attempts": "container",
    "spatialreward.chat": "chat",
    "spatialreward.client": "client",
    "spatialreward.ops.cluster": "cluster",
    "spatialreward.ops.cluster.launching": "container",
    "spatialreward.data": "data",
    "spatialreward.ops.deployer": "deployer",
    "spatialreward.ops.deployment": "deployer",
    "spatialreward.editors": "editors",
    # Each kind of editor has its own entry below.
    "spatialreward.editors.load": "",
    "spatialreward.benchmarks": "judge",
    "spatialreward.ops.editor_benchmarks": "judge",
    "spatialreward.ops.evaluation": "judge",
    "spatialreward.ops.registered": "judge,storage,tracking",
    "spatialreward.benchmarks.editors.rubric_grader": "chat,judge",
    "spatialreward.benchmarks.report": "storage",
    "spatialreward.hub": "judge",
    "spatialreward.judges": "judge",
    # Each kind of judge has its own entry below.
    "spatialreward.judges.load": "",
    "spatialreward.judges.engines.vllm_engine": "vllm",
    "spatialreward.judges.openai": "chat",
    "spatialreward.judges.openai_asking": "chat",
    "spatialreward.judges.openai_config": "",
    "spatialreward.judges.passes": "",
    "spatialreward.ops.kubeflow": "kubeflow",
    "spatialreward.ops.logged_models": "tracking",
    "spatialreward.ops.promotion": "tracking",
    "spatialreward.ops.registry": "tracking",
    "spatialreward.rl": "editors",
    # Compares pictures with the same code as the data's region proposals.
    "spatialreward.rl.watch": "data,editors",
    "spatialreward.stack": "stack",
    "spatialreward.ops.step": "container",
    "spatialreward.ops.training_step": "container",
    "spatialreward.storage": "storage",
    "spatialreward.ops.tracking": "tracking",
    "spatialreward.training": "training",
    "spatialreward.training.consistency": "chat",
    "spatialreward.training.grpo": "grpo",
    "spatialreward.training.grpo_trainer": "grpo",
    "spatialreward.training.optimisation": "judge",
    "spatialreward.training.optimisers": "judge",
    "spatialreward.training.muon": "judge",
    "spatialreward.transfer": "storage",
    "spatialreward.world": "judge",
    "spatialreward.world.building": "data",
    "spatialreward.world.base_evaluation": "training",
    "spatialreward.world.grounding": "training",
    "spatialreward.world.claim": "data,training",
    "spatialreward.world.drawn_edits": "data,judge",
    "spatialreward.world.editor_evaluation": "editors",
    "spatialreward.world.random_editors": "editors",
    "spatialreward.world.random_omnigen2": "editors",
    "spatialreward.world.rl_claim": "data,training",
    "spatialreward.world.source": "data",
}
"""Extras by part of the library; the longest matching name counts."""
_OURS = {"components", "manifests", "pipelines", "serving", "spatialreward"}


class MissingPackageError(SpatialRewardError, ImportError):
    """A package of an extra is not installed."""


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The install command for a missing package, from the outermost of our modules in ``error``.

    Returns:
        None where one of our own modules is missing, or none of ours imported it: that is a bug.
    """
    name = (error.name or "").partition(".")[0]
    if not name or name in _OURS:
        return None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if extra := extra_of(frame.f_globals.get("__name__", "")):
            return MissingPackageError(
                f"{name} is not installed: pip install 'spatialreward[{extra}]'"
            )
    return None


def extra_of(module: str) -> str | None:
    """The extras of the part that a module belongs to; None: it needs none."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((EXTRAS[name] for name in names if name in EXTRAS), None)
