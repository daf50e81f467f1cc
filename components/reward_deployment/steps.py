"""The steps that put a judge into service.

Their effects are outside the object store, so they are never skipped; done again they change
nothing.
"""

import json
import os
from pathlib import Path

import components
from spatialreward.config import JudgeRegistrationStep, NoSettings
from spatialreward.deployment import deploy_once
from spatialreward.errors import InvalidInputError
from spatialreward.evaluation.gate import GateError, check_gate
from spatialreward.evaluation.judge import JudgeFigures
from spatialreward.registry import (
    ARTIFACT_TAG,
    fetch_verified,
    register_candidate,
    set_alias,
    set_version_tags,
)
from spatialreward.step import Outputs, Step, run_step
from spatialreward.storage import ArtifactRef

TEMPLATE = Path(components.__file__).parents[1] / "serving" / "judge"


def register_judge(
    config: JudgeRegistrationStep, judge: str, figures: str, parent_run_id: str
) -> str:
    """Register a judge and put it to its gate; returns ``models:/NAME/VERSION``.

    Raises:
        GateError: it fell short; it is the candidate now, and the champion is who it was.
    """
    measured = JudgeFigures(**json.loads(figures)["judge"])

    def work(step: Step) -> Outputs:
        model = register_candidate(
            config.name,
            ArtifactRef.parse(judge),
            lambda: step.fetch("judge"),
            step.tracker.run_id or "",
            measured._asdict(),
        )
        try:
            check_gate(config.gate, measured)
        except GateError as error:
            set_version_tags(model, {"gate": f"failed: {error}"})
            raise
        set_version_tags(model, {"gate": "passed"})
        set_alias(model, "champion")
        return {"model": model.uri}

    outputs = run_step(
        "register-judge",
        config,
        {"judge": judge, "figures": figures},
        work,
        parent_run_id=parent_run_id,
        reuse=False,
    )
    return str(outputs["model"])


def deploy_judge(model: str, parent_run_id: str) -> str:
    """Serve a registered judge; returns the reference of the checkpoint that is served.

    Raises:
        InvalidInputError: Triton's address is not set, or the model is not what was registered.
        DeploymentError: Triton does not serve it; what was served before is served still.
    """
    names = ("TRITON_GRPC_URL", "TRITON_MODEL_REPOSITORY")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise InvalidInputError(f"deployment: {', '.join(missing)} not set")

    def work(step: Step) -> Outputs:
        fetched = fetch_verified(model)
        ref = ArtifactRef.parse(fetched.tags.get(ARTIFACT_TAG, ""))
        served = deploy_once(
            fetched.folder,
            template=TEMPLATE,
            repository=Path(os.environ["TRITON_MODEL_REPOSITORY"]),
            endpoint=os.environ["TRITON_GRPC_URL"],
            source=fetched.model.uri,
        )
        return {"served": str(ref), "served_version": served}

    outputs = run_step(
        "deploy-judge",
        NoSettings(),
        {"model": model},
        work,
        parent_run_id=parent_run_id,
        reuse=False,
    )
    return str(outputs["served"])
