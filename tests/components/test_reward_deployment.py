import json
import logging

import pytest

from components.reward_deployment.steps import deploy_judge, register_judge
from spatialreward.artifacts import ArtifactRef
from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import ReportError
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import JudgeRegistrationStep
from spatialreward.ops.deployment import DeploymentError
from spatialreward.ops.registry import ModelVersion, set_version_tags
from spatialreward.storage import ObjectStore
from tests.client.conftest import server, start_server  # noqa: F401 - a judge that is version 3
from tests.evaluated import GOOD, stored_report
from tests.ops.deployment.conftest import (  # noqa: F401 - a judge that answers at once, on Triton
    scripted,
    scripted_template,
    triton,
)


@pytest.fixture
def checkpoint(client, tmp_path, monkeypatch):
    """Makes references of checkpoints that differ in their words."""
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")

    def make(words):
        folder = tmp_path / words
        folder.mkdir()
        (folder / "weights.bin").write_text(words)
        return str(store.put_folder(folder, "s3://spatialreward/artifacts/test"))

    return make


def evaluation(judge, **change):
    """What the evaluation of a judge answers."""
    return json.dumps(
        {"report": str(stored_report(ArtifactRef.parse(judge).sha256, GOOD | change))}
    )


def settings(name, **change):
    return JudgeRegistrationStep(name=name, gate=JudgeGate(), **change)


def test_a_judge_that_passes_is_the_champion_and_registered_once(checkpoint, client):
    judge = checkpoint("good")
    measured = evaluation(judge, mean_iou=0.650049)
    for _ in range(2):
        assert register_judge(settings("passes"), judge, measured, "") == "models:/passes/1"
    champion = client.get_model_version_by_alias("passes", "champion")
    assert champion.version == client.get_model_version_by_alias("passes", "candidate").version
    assert champion.tags["gate"] == "passed"
    # Unrounded, so that a promotion by hand uses the same figure as the pipeline.
    assert champion.tags["mean_iou"] == "0.650049"
    assert champion.source == judge


def test_a_second_champion_keeps_the_first_as_previous(checkpoint, client):
    for words in ("one", "two"):
        judge = checkpoint(words)
        register_judge(settings("twice"), judge, evaluation(judge), "")
    assert str(client.get_model_version_by_alias("twice", "champion").version) == "2"
    assert str(client.get_model_version_by_alias("twice", "previous").version) == "1"
    found = client.get_model_version("twice", "2").tags
    assert (found["promoted_by"], found["promoted_over"]) == ("pipeline", "1")


def test_without_a_repository_the_step_waits_for_the_deployer(
    checkpoint,
    server,  # noqa: F811
    monkeypatch,
):
    monkeypatch.delenv("TRITON_MODEL_REPOSITORY", raising=False)
    monkeypatch.delenv("TRITON_GRPC_URL", raising=False)
    with pytest.raises(InvalidInputError, match="TRITON_GRPC_URL not set"):
        deploy_judge("models:/waited@champion", "")
    monkeypatch.setenv("TRITON_GRPC_URL", server.address)
    judge = checkpoint("waited")
    register_judge(settings("waited"), judge, evaluation(judge), "")
    monkeypatch.setenv("SPATIALREWARD_DEPLOY_TIMEOUT_S", "0.001")
    with pytest.raises(DeploymentError, match="no deployer has said anything about it"):
        deploy_judge("models:/waited@champion", "")
    set_version_tags(ModelVersion("waited", 1), {"serving": "served", "served_as": "judge/3"})
    assert deploy_judge("models:/waited@champion", "") == judge
    monkeypatch.setenv("SPATIALREWARD_DEPLOY_TIMEOUT_S", "soon")
    with pytest.raises(InvalidInputError, match="DEPLOY_TIMEOUT_S: expected seconds, got 'soon'"):
        deploy_judge("models:/waited@champion", "")


def test_a_judge_that_falls_short_leaves_the_champion_before(checkpoint, client):
    first, second = checkpoint("first"), checkpoint("second")
    register_judge(settings("falls"), first, evaluation(first), "")
    with pytest.raises(GateError, match=r"mean_iou is 0\.6000, 0\.0500 below"):
        register_judge(settings("falls"), second, evaluation(second, mean_iou=0.6), "")
    assert str(client.get_model_version_by_alias("falls", "champion").version) == "1"
    candidate = client.get_model_version_by_alias("falls", "candidate")
    assert str(candidate.version) == "2"
    assert candidate.tags["gate"].startswith("failed: ")


def test_what_is_no_reference_is_refused(checkpoint):
    with pytest.raises(InvalidInputError, match="an artifact reference"):
        register_judge(settings("refused"), "s3://somewhere", evaluation(checkpoint("some")), "")


def test_the_report_on_another_judge_is_refused(checkpoint, client):
    good, other = checkpoint("good"), checkpoint("other")
    with pytest.raises(ReportError, match="is about checkpoint"):
        register_judge(settings("others"), other, evaluation(good), "")
    assert "champion" not in client.get_registered_model("others").aliases


def test_an_earlier_judge_is_champion_once_and_never_over_what_followed(checkpoint, client):
    earlier, last = checkpoint("earlier"), checkpoint("last")
    # The second time is what a pipeline does that is run again.
    for _ in range(2):
        first = register_judge(settings("turns", earlier=True), earlier, evaluation(earlier), "")
        second = register_judge(settings("turns"), last, evaluation(last), "")
        assert (first, second) == ("models:/turns/1", "models:/turns/2")
        aliases = client.get_registered_model("turns").aliases
        assert {alias: str(version) for alias, version in aliases.items()} == {
            "candidate": "2",
            "champion": "2",
            "previous": "1",
        }
    assert client.get_model_version("turns", "1").tags["gate"] == "passed"


def test_an_earlier_judge_that_falls_short_stays_a_candidate(checkpoint, client, caplog):
    earlier, last = checkpoint("short"), checkpoint("good")
    with caplog.at_level(logging.WARNING):
        register_judge(
            settings("short", earlier=True), earlier, evaluation(earlier, mean_iou=0.6), ""
        )
    assert "the earlier judge stays a candidate: models:/short/1: the judge does" in caplog.text
    register_judge(settings("short"), last, evaluation(last), "")
    aliases = client.get_registered_model("short").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {
        "candidate": "2",
        "champion": "2",
    }


def test_with_a_repository_the_step_serves_the_champion_with_the_key(
    checkpoint,
    scripted,  # noqa: F811
    scripted_template,  # noqa: F811
    triton,  # noqa: F811
    monkeypatch,
):
    folder = scripted("judge")
    judge = str(ObjectStore.from_environment().put_folder(folder, "s3://spatialreward/served"))
    register_judge(settings("with-a-key"), judge, evaluation(judge), "")
    monkeypatch.setattr("components.reward_deployment.steps.TEMPLATE", scripted_template)
    monkeypatch.setenv("TRITON_GRPC_URL", triton.grpc)
    monkeypatch.setenv("TRITON_MODEL_REPOSITORY", str(triton.model_repository))
    monkeypatch.delenv("TRITON_REPOSITORY_KEY", raising=False)
    with pytest.raises(DeploymentError, match="set TRITON_REPOSITORY_KEY"):
        deploy_judge("models:/with-a-key@champion", "")
    monkeypatch.setenv("TRITON_REPOSITORY_KEY", triton.repository_key)
    assert deploy_judge("models:/with-a-key@champion", "") == judge
