"""The files of ``examples/``: made by its script, and in the form that commands take."""

from pathlib import Path

import pytest

from examples.make_edits import write_examples
from spatialreward import JudgementStatus, load_judge
from spatialreward.cli.deploy_options import edits_of
from spatialreward.cli.edits import read_requests
from spatialreward.ops.deployer.config import TrialBounds
from spatialreward.ops.deployer.probes import Judge, run_trial
from spatialreward.ops.deployment.smoke import check_answers

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = ("edits.jsonl", "smoke.jsonl", "probes.jsonl")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_script_makes(made, name):
    assert (EXAMPLES / name).read_bytes() == (made / name).read_bytes()
    assert edits_of(EXAMPLES / name) == edits_of(made / name)


def test_every_picture_is_named_by_a_file(made):
    named = {
        path.name
        for name in FILES
        for one in read_requests(EXAMPLES / name)
        for path in (one.source, one.edited)
    }
    assert {path.name for path in (EXAMPLES / "pictures").iterdir()} == named


def test_smoke_and_probe_edits_are_asked_of_a_served_judge(served):
    check_answers(served.endpoint, "judge", 1, edits_of(EXAMPLES / "smoke.jsonl"))
    probes = edits_of(EXAMPLES / "probes.jsonl")
    judge = Judge(served.endpoint, "judge")
    trial = run_trial(judge, judge, {name: probes[name] for name in list(probes)[:2]})
    assert trial.failed_share_old == trial.failed_share_new
    assert trial.complaints(TrialBounds(max_latency_ratio=100)) == []


def test_the_command_judges_the_edits(judge_folder):
    with load_judge(judge_folder) as judge:
        judgements = judge.judge(list(edits_of(EXAMPLES / "edits.jsonl").values()))
    assert {one.status for one in judgements} == {JudgementStatus.OK}
