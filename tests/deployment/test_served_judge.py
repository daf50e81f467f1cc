import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image
from typer.testing import CliRunner

import spatialreward
from spatialreward.cli.main import app
from spatialreward.client import ServingError, TritonJudge
from spatialreward.deployment import DeploymentError, deploy, deploy_once
from spatialreward.errors import InvalidInputError
from spatialreward.judge.engine import Judge
from spatialreward.judge.interface import EditToJudge
from spatialreward.records import Judgement
from spatialreward.stack import Service, StackConfig, running_stack
from spatialreward.stack.ports import free_ports

ROOT = Path(spatialreward.__file__).parents[1]
TEMPLATE = ROOT / "serving" / "judge"
UNREADABLE = re.compile(r"answer is not JSON: |answer: |(SC|PQ) answer is longer than \d+ tokens$")
REAL_EDITS = ROOT.parent / "shared" / "data" / "real_edits" / "edits.jsonl"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("triton"),
        without=frozenset({Service.S3, Service.MLFLOW}),
    )
    with running_stack(config) as endpoints:
        yield endpoints.triton


@pytest.fixture(scope="module")
def served(server, judge_folder):
    """Address of a server that serves the test judge."""
    deploy(
        judge_folder,
        template=TEMPLATE,
        repository=server.model_repository,
        endpoint=server.grpc,
        version=3,
    )
    return server.grpc


def ask(endpoint, source, edited, instruction):
    """One request as any client could send it."""
    inputs = []
    for name, value in (("SOURCE", source), ("EDITED", edited), ("INSTRUCTION", instruction)):
        tensor = triton.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value]], dtype=object))
        inputs.append(tensor)
    result = triton.InferenceServerClient(endpoint).infer("judge", inputs)
    return Judgement.model_validate_json(result.as_numpy("JUDGEMENT").item())


def test_the_served_judge_judges_as_the_same_judge_in_process(served, judge_folder, known_edits):
    here = Judge.load(judge_folder).judge(known_edits)
    for remote, local in zip(TritonJudge(served).judge(known_edits), here, strict=True):
        assert remote.regions == local.regions
        assert remote.scores == local.scores
        assert remote.sc_reasoning == local.sc_reasoning
        assert remote.reward == pytest.approx(local.reward, abs=1e-4)


def test_judgements_come_back_in_the_order_of_the_edits(served, known_edits):
    many = [known_edits[number % 4] for number in range(50)]
    rewards = [judgement.reward for judgement in TritonJudge(served).judge(many)]
    assert rewards == pytest.approx([rewards[number % 4] for number in range(50)], abs=1e-4)


def test_the_notice_travels_with_the_model(served):
    assert TritonJudge(served).notice == 'knows four "edits", naïvely'


def test_no_edits_are_no_judgements(served):
    assert TritonJudge(served).judge([]) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"edited": b"no picture"}, "edited picture"),
        ({"source": b""}, "source picture"),
        ({"instruction": b""}, "instruction"),
        ({"instruction": b"x" * 10_000}, "instruction"),
        ({"instruction": b"\xff"}, "instruction: is not UTF-8 text"),
    ],
)
def test_an_unusable_edit_gets_a_reason_and_no_score(served, known_edits, change, reason):
    from spatialreward.images import encode_png

    picture = encode_png(known_edits[0].source)
    request = {"source": picture, "edited": picture, "instruction": b"add a circle"} | change
    judgement = ask(served, **request)
    assert judgement.reward is None
    assert reason in judgement.reason


def test_a_checkpoint_that_does_not_load_leaves_the_one_before(
    served, server, judge_folder, known_edits, tmp_path
):
    broken = tmp_path / "broken"
    shutil.copytree(judge_folder, broken)
    (broken / "model.safetensors").write_bytes(b"not weights")
    before = TritonJudge(served).judge(known_edits)
    with pytest.raises(DeploymentError, match="judge version 4: "):
        deploy(broken, template=TEMPLATE, repository=server.model_repository, endpoint=served)
    assert TritonJudge(served).judge(known_edits) == before
    assert not (server.model_repository / "judge" / "4").exists()


def test_a_version_that_was_deployed_is_not_replaced(served, server, judge_folder):
    with pytest.raises(InvalidInputError, match="version 3: judge has been deployed as 3"):
        deploy(
            judge_folder,
            template=TEMPLATE,
            repository=server.model_repository,
            endpoint=served,
            version=3,
        )


def test_a_newer_version_takes_over(server, judge_folder, known_edits, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(judge_folder, newer)
    (newer / "card.json").write_text(json.dumps({"notice": "newer"}))
    arguments = {
        "template": TEMPLATE,
        "repository": server.model_repository,
        "endpoint": server.grpc,
        "model": "other",
    }
    assert deploy(judge_folder, **arguments) == 1
    assert deploy(newer, **arguments) == 2
    judge = TritonJudge(server.grpc, model="other")
    assert judge.notice == "newer"
    assert judge.judge(known_edits[:1])[0].reward is not None


def test_a_checkpoint_that_is_the_newest_version_is_not_copied_again(
    server, judge_folder, known_edits, tmp_path
):
    newer = tmp_path / "newer"
    shutil.copytree(judge_folder, newer)
    (newer / "card.json").write_text(json.dumps({"notice": "newer"}))
    arguments = {
        "template": TEMPLATE,
        "repository": server.model_repository,
        "endpoint": server.grpc,
        "model": "again",
    }
    assert deploy_once(judge_folder, **arguments) == 1
    triton.InferenceServerClient(server.grpc).unload_model("again")
    assert deploy_once(judge_folder, **arguments) == 1
    assert TritonJudge(server.grpc, model="again").judge(known_edits[:1])[0].reward is not None
    assert deploy_once(newer, **arguments) == 2


def test_a_template_that_is_incomplete_is_named(server, judge_folder, tmp_path):
    with pytest.raises(InvalidInputError, match=r"config\.pbtxt: missing"):
        deploy(
            judge_folder,
            template=tmp_path,
            repository=server.model_repository,
            endpoint=server.grpc,
        )


def test_a_model_that_is_not_served_is_named(server):
    with pytest.raises(ServingError, match="serves no model 'critic'"):
        TritonJudge(server.grpc, model="critic").check()


def test_a_server_that_is_not_there_is_named(known_edits):
    with free_ports() as ports:
        endpoint = f"127.0.0.1:{next(ports)}"
    with pytest.raises(ServingError, match=f"no server answers at {endpoint}"):
        TritonJudge(endpoint).judge(known_edits)


def test_a_request_that_takes_too_long_is_an_error_and_no_score(served):
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    edits = [EditToJudge(noise, noise, "add a circle")] * 16
    with pytest.raises(ServingError, match=r"judge at 127"):
        TritonJudge(served, timeout_s=0.01).judge(edits)


@pytest.mark.skipif(not REAL_EDITS.is_file(), reason=f"there is no {REAL_EDITS}")
def test_real_edits_are_judged_or_told_why_not_and_drawn(served, tmp_path):
    overlays = tmp_path / "overlays"
    arguments = ["judge", "--edits", str(REAL_EDITS), "--endpoint", served]
    result = CliRunner().invoke(app, [*arguments, "--overlay-dir", str(overlays)])
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(told) == 6
    failed = [one for one in told if one["status"] == "failed"]
    assert all(UNREADABLE.match(one["reason"]) and one["reward"] is None for one in failed)
    assert result.exit_code == (2 if failed else 0)
    for one in told:
        with Image.open(overlays / f"{one['id']}.png") as overlay:
            assert overlay.width > 300
