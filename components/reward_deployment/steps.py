"""Steps that put a judge into service.

Their effects are outside the object store, so they are never skipped; repeating them changes
nothing.
"""

import json
import logging
import os
from pathlib import Path

import components
from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import load_report
from spatialreward.cli.command import sigterm_as_exit
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import JudgeRegistrationStep, NoSettings
from spatialreward.ops.deployer.waiting import wait_until_served
from spatialreward.ops.deployment import deploy
from spatialreward.ops.deployment.server import KEY_VARIABLE
from spatialreward.ops.promotion import promote
from spatialreward.ops.promotion.tags import PROMOTED_AT
from spatialreward.ops.registry import fetch_verified, look_up, model_tags, register_candidate
from spatialreward.ops.step import Outputs, Step, run_step

logger = logging.getLogger(__name__)

TEMPLATE = Path(components.__file__).parents[1] / "serving" / "judge"
DEPLOY_TIMEOUT = "SPATIALREWARD_DEPLOY_TIMEOUT_S"
"""Environment variable: longest time for a deployer to serve a champion, in seconds."""
_DEPLOY_TIMEOUT_S = 1800.0


def register_judge(
    config: JudgeRegistrationStep, judge: str, evaluation: str, parent_run_id: str
) -> str:
    """Register a judge and check it against its gate; returns ``models:/NAME/VERSION``.

    Raises:
        GateError: it fails the gate; it becomes the candidate, and the champion stays. An earlier
            checkpoint that fails also becomes the candidate, without an error.
        ReportError: its evaluation report is not trusted, or is about another judge.
    """
    report = DocumentRef.parse(json.loads(evaluation)["report"])

    def work(step: Step) -> Outputs:
        model = register_candidate(
            config.name,
            ArtifactRef.parse(judge),
            step.tracker.run_id or "",
            report,
            load_report(step.store, str(report)).figures,
        )
        if config.earlier and PROMOTED_AT in model_tags(model.uri):
            logger.info("%s was champion before, and is not promoted over what followed", model.uri)
            return {"model": model.uri}
        try:
            promote(
                config.name,
                model.version,
                config.gate,
                by="pipeline",
                reason=f"passed its gate in run {parent_run_id or step.tracker.run_id}",
            )
        except GateError as error:
            if not config.earlier:
                raise
            logger.warning("the earlier judge stays a candidate: %s", error)
        return {"model": model.uri}

    outputs = run_step(
        "register-judge",
        config,
        {"judge": judge, "evaluation": evaluation},
        work,
        parent_run_id=parent_run_id,
        reuse=False,
    )
    return str(outputs["model"])


def deploy_judge(model: str, parent_run_id: str) -> str:
    """Serve a registered judge; returns the reference of the served checkpoint.

    With ``TRITON_MODEL_REPOSITORY`` set, this step serves it there itself, with the key in
    ``TRITON_REPOSITORY_KEY`` if the server requires one. Without it a deployer follows the
    registry, and this step waits until the server at ``TRITON_GRPC_URL`` answers with the version,
    or the deployer reports why not.

    Raises:
        InvalidInputError: Triton's address is not set, or the model differs from the registered
            one.
        DeploymentError: it is not served; the previous model stays in service.
    """
    endpoint = os.environ.get("TRITON_GRPC_URL")
    if not endpoint:
        raise InvalidInputError("deployment: TRITON_GRPC_URL not set")
    repository = os.environ.get("TRITON_MODEL_REPOSITORY")

    def work(step: Step) -> Outputs:
        if repository:
            fetched = fetch_verified(model)
            with sigterm_as_exit():
                version = deploy(
                    fetched.folder,
                    template=TEMPLATE,
                    repository=Path(repository),
                    endpoint=endpoint,
                    key=os.environ.get(KEY_VARIABLE, ""),
                    source=fetched.model.uri,
                    # Where a deployer follows the champion, too, it deploys the same version.
                    wait_s=_deploy_timeout_s(),
                )
            return {"served": str(fetched.artifact), "served_version": version}
        found = look_up(model)
        ref = found.artifact
        wait_until_served(found.model, endpoint, timeout_s=_deploy_timeout_s())
        return {"served": str(ref), "served_version": found.model.version}

    outputs = run_step(
        "deploy-judge",
        NoSettings(),
        {"model": model},
        work,
        parent_run_id=parent_run_id,
        reuse=False,
    )
    return str(outputs["served"])


def _deploy_timeout_s() -> float:
    given = os.environ.get(DEPLOY_TIMEOUT)
    try:
        seconds = float(given) if given else _DEPLOY_TIMEOUT_S
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise InvalidInputError(f"{DEPLOY_TIMEOUT}: expected seconds, got {given!r}")
    return seconds
