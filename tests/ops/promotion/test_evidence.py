import io
import logging

import pytest
import requests

from spatialreward.artifacts import DocumentRef
from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import REPORTS, ReportError
from spatialreward.errors import ArtifactError
from spatialreward.ops.promotion import promote
from spatialreward.ops.promotion.evidence import compare
from spatialreward.ops.registry import (
    CHAMPION,
    EVALUATION_TAG,
    aliases_of,
    fetch_verified,
    look_up,
    model_tags,
    remove_version_tags,
    set_alias,
    set_version_tags,
)
from spatialreward.storage import ObjectStore
from tests.evaluated import GOOD, make_report, stored_report

FORGED = {"pairwise_accuracy": "1.0", "mean_iou": "1.0", "unparsable_share": "0.0"}


@pytest.fixture
def refuse(model):
    """Has a version's promotion refused, in words that the test expects, without an effect."""

    def refuse(version, error, words, gate=None):
        before = aliases_of(model)
        with pytest.raises(error, match=words):
            promote(model, version.version, gate or JudgeGate(), by="ann", reason="")
        assert aliases_of(model) == before

    return refuse


def put(uri, content):
    """Write an object over whatever is there, as someone does who has the store's keys."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    ObjectStore.from_environment().client.put_object(bucket, key, io.BytesIO(content), len(content))


def sha256_of(version):
    return look_up(version.uri).artifact.sha256


def test_an_untouched_version_is_promoted_on_its_report(model, register):
    version = register()
    promote(model, version.version, JudgeGate(), by="ann", reason="")
    assert aliases_of(model) == {CHAMPION: version}


def test_forged_figures_among_the_tags_do_not_help(model, register, refuse):
    poor = register(mean_iou=0.3)
    set_version_tags(poor, FORGED)
    refuse(poor, GateError, r"mean_iou is 0\.3000, 0\.3500 below")
    assert {row.figure: row.candidate for row in compare(model, 1, JudgeGate()).rows} == (
        GOOD | {"mean_iou": 0.3}
    )


def test_a_version_without_a_report_is_told_how_to_get_one(register, refuse):
    version = register()
    remove_version_tags(version, [EVALUATION_TAG])
    refuse(version, ReportError, "has no evaluation report .*`spatialreward evaluate`")


def test_another_versions_good_report_does_not_help(register, refuse):
    good, poor = register(), register(mean_iou=0.3)
    borrowed = model_tags(good.uri)
    set_version_tags(poor, {EVALUATION_TAG: borrowed[EVALUATION_TAG]})
    words = f"is about checkpoint {sha256_of(good)}, it is {sha256_of(poor)}"
    refuse(poor, ReportError, words)
    with pytest.raises(ReportError, match=words):
        fetch_verified(poor.uri)


def test_a_version_whose_files_were_altered_in_the_store_is_refused(register, refuse):
    version = register()
    weights = f"{look_up(version.uri).artifact.uri}/weights.bin"
    content = ObjectStore.from_environment().get_content(weights)
    put(weights, content.replace(b"w", b"W"))
    refuse(version, ArtifactError, f"{weights}: is missing or was altered")
    with pytest.raises(ArtifactError, match=f"{weights}: expected sha256"):
        fetch_verified(version.uri)
    ObjectStore.from_environment().remove(weights)
    refuse(version, ArtifactError, f"{weights}: is missing or was altered")


def test_a_report_that_was_altered_in_the_store_is_refused(register, refuse):
    poor = register(mean_iou=0.3)
    ref = DocumentRef.parse(model_tags(poor.uri)[EVALUATION_TAG])
    content = ObjectStore.from_environment().get_content(ref.uri)
    better = content.replace(b"0.3", b"0.9")
    assert better != content
    put(ref.uri, better)
    refuse(poor, ReportError, f"{ref.uri}: was altered: expected .*sha256={ref.sha256}")


def test_a_report_in_mlflows_own_bucket_is_refused(register, refuse, tracking_servers):
    poor = register(mean_iou=0.3)
    forged = make_report(sha256_of(poor), GOOD).model_dump_json().encode()
    # No keys are needed for this.
    proxy = f"{tracking_servers.mlflow.tracking_uri}/api/2.0/mlflow-artifacts/artifacts"
    requests.put(f"{proxy}/evaluations/forged.json", data=forged, timeout=20).raise_for_status()
    ref = DocumentRef.of("s3://mlflow/evaluations/forged.json", forged)
    assert ObjectStore.from_environment().get_content(ref.uri) == forged
    set_version_tags(poor, {EVALUATION_TAG: str(ref)})
    refuse(poor, ReportError, f"{ref.uri}: only reports at {REPORTS}/SHA256.json are believed")


def test_a_report_that_mlflow_wrote_where_reports_are_is_refused(
    model, register, refuse, client, tracking_servers
):
    """Its server writes a run's files with its own keys, wherever an experiment says they are."""
    poor = register(mean_iou=0.3)
    forged = make_report(sha256_of(poor), GOOD).model_dump_json().encode()
    run = client.create_run(client.create_experiment(model, artifact_location=REPORTS)).info
    name = f"{DocumentRef.of('s3://any/where', forged).sha256}.json"
    upload = f"{tracking_servers.mlflow.tracking_uri}/ajax-api/2.0/mlflow/upload-artifact"

    def post(path):
        where = {"run_uuid": run.run_id, "path": path}
        return requests.post(upload, params=where, data=forged, timeout=20)

    post(name).raise_for_status()
    ref = DocumentRef.of(f"{REPORTS}/{run.run_id}/artifacts/{name}", forged)
    assert ObjectStore.from_environment().get_content(ref.uri) == forged
    set_version_tags(poor, {EVALUATION_TAG: str(ref)})
    refuse(poor, ReportError, f"{ref.uri}: only reports at {REPORTS}/SHA256.json are believed")
    # It does not write where a report is believed.
    assert not post(f"../../{name}").ok
    assert not ObjectStore.from_environment().exists(f"{REPORTS}/{name}")


@pytest.mark.parametrize(
    "place",
    [
        "s3://spatialreward/artifacts/{}.json",
        "s3://spatialreward/evaluations/../../mlflow/{}.json",
        "s3://spatialreward/evaluations/named.json",
    ],
)
def test_a_report_elsewhere_is_refused(place, register, refuse):
    version = register()
    ref = DocumentRef.parse(model_tags(version.uri)[EVALUATION_TAG])
    elsewhere = ref.model_copy(update={"uri": place.format(ref.sha256)})
    set_version_tags(version, {EVALUATION_TAG: str(elsewhere)})
    refuse(version, ReportError, r"only reports at s3://spatialreward/evaluations/SHA256\.json")


def test_what_is_no_report_is_refused(register, refuse):
    version = register()
    set_version_tags(version, {EVALUATION_TAG: "s3://somewhere"})
    refuse(version, ReportError, "an artifact reference")
    missing = f"{REPORTS}/{'0' * 64}.json#sha256={'0' * 64}"
    set_version_tags(version, {EVALUATION_TAG: missing})
    refuse(version, ReportError, "no such report in the object store")
    other = ObjectStore.from_environment().put_content(b'{"kind": "judge"}', REPORTS, ".json")
    set_version_tags(version, {EVALUATION_TAG: str(other)})
    refuse(version, ReportError, f"{other.uri}: checkpoint_sha256: Field required")


def test_figures_that_cannot_be_are_refused_when_a_report_is_read(register, refuse):
    version = register()
    report = make_report(sha256_of(version), GOOD)
    cannot_be = GOOD | {"pairwise_accuracy": 61.0, "unparsable_share": -1.0}
    for figures, words in (
        (cannot_be, "pairwise_accuracy is 61, not in 0..1; unparsable_share is -1, not in 0..1"),
        (GOOD | {"beauty": 1.0}, "beauty: no such figure"),
    ):
        forged = report.model_copy(update={"figures": figures}).model_dump_json().encode()
        ref = ObjectStore.from_environment().put_content(forged, REPORTS, ".json")
        set_version_tags(version, {EVALUATION_TAG: str(ref)})
        refuse(version, ReportError, words)


def test_an_editor_is_promoted_on_its_report_alone(model, register, refuse):
    chance = register()
    sha256 = sha256_of(chance)
    poor, good = (
        stored_report(sha256, {"gain_ci95_low": low}, kind="editor") for low in (-0.01, 0.01)
    )
    set_version_tags(chance, {EVALUATION_TAG: str(poor), "gain_ci95_low": "0.5"})
    refuse(chance, GateError, r"gain_ci95_low is -0\.0100, not above 0", EditorGate())
    set_version_tags(chance, {EVALUATION_TAG: str(good)})
    promote(model, 1, EditorGate(), by="ann", reason="")
    assert aliases_of(model) == {CHAMPION: chance}


def test_a_candidate_stands_beside_the_champion_figure_by_figure(model, register):
    champion = register(mean_iou=0.7, reward_mae=0.1)
    candidate = register(mean_iou=0.6, reward_spearman=0.9)
    set_alias(champion, CHAMPION)
    set_version_tags(champion, {"serving": "served"})
    told = compare(model, 2, JudgeGate())
    assert (told.candidate, told.champion) == (candidate, champion)
    rows = {row.figure: row for row in told.rows}
    assert list(rows)[:3] == ["pairwise_accuracy", "mean_iou", "unparsable_share"]
    assert round(rows["mean_iou"].difference, 4) == -0.1
    assert rows["mean_iou"].passes is False
    assert rows["pairwise_accuracy"].passes is True
    assert (rows["reward_mae"].candidate, rows["reward_mae"].difference) == (None, None)
    assert (rows["reward_spearman"].champion, rows["reward_spearman"].passes) == (None, None)
    assert told.facts == {"serving": ("served", "")}


def test_without_a_champion_there_is_only_the_candidate(model, register):
    register()
    told = compare(model, 1, JudgeGate())
    assert told.champion is None
    assert all(row.champion is None for row in told.rows)


def test_a_champion_without_a_report_has_no_figures(model, register, caplog):
    champion = register()
    register()
    set_alias(champion, CHAMPION)
    remove_version_tags(champion, [EVALUATION_TAG])
    with caplog.at_level(logging.WARNING, logger="spatialreward.ops.promotion.evidence"):
        told = compare(model, 2, JudgeGate())
    assert all(row.champion is None for row in told.rows)
    assert f"no figures of the champion: {champion.uri}: has no evaluation" in caplog.text
