import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import spatialreward
from spatialreward.cli.main import app
from spatialreward.client import TritonJudge
from spatialreward.folder_manifest import digest_folder
from spatialreward.images import encode_png
from spatialreward.judges.engines.engine import Judge
from spatialreward.ops.deployment import DeploymentError
from spatialreward.records import Judgement

UNREADABLE = re.compile(r"answer is not JSON: |[\w.]+: |(SC|PQ) answer is longer than \d+ tokens$")
REAL_EDITS = Path(spatialreward.__file__).parents[2] / "shared/data/real_edits/edits.jsonl"


@pytest.fixture(scope="module")
def served(real_site, judge_folder):
    """Address of a server that serves the test judge."""
    real_site.deploy(judge_folder)
    return real_site.endpoint


def ask(endpoint, source, edited, instruction):
    """One request as any client could send it."""
    inputs = []
    for name, value in (("SOURCE", source), ("EDITED", edited), ("INSTRUCTION", instruction)):
        tensor = tritonclient.grpc.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value]], dtype=object))
        inputs.append(tensor)
    result = tritonclient.grpc.InferenceServerClient(endpoint).infer("judge", inputs)
    return Judgement.model_validate_json(result.as_numpy("JUDGEMENT").item())


def test_the_served_judge_judges_as_the_same_judge_in_process(served, judge_folder, known_edits):
    here = Judge.load(judge_folder).judge(known_edits)
    for remote, local in zip(TritonJudge(served).judge(known_edits), here, strict=True):
        assert remote.regions == local.regions
        assert remote.scores == local.scores
        assert remote.sc_reasoning == local.sc_reasoning
        assert remote.reward == pytest.approx(local.reward, abs=1e-4)


def test_the_served_judge_says_which_checkpoint_it_is(served, real_site, judge_folder, known_edits):
    here = Judge.load(judge_folder).identity
    (version,) = real_site.on_disk()
    with TritonJudge(served) as judge:
        identity = judge.identity
        (judgement,) = judge.judge(known_edits[:1])
    assert identity == here.model_copy(update={"name": "judge", "version": str(version)})
    assert identity.weights == digest_folder(judge_folder)
    assert judgement.judged_by == str(identity)


def test_judgements_come_back_in_the_order_of_the_edits(served, known_edits):
    many = [known_edits[number % 4] for number in range(50)]
    rewards = [judgement.reward for judgement in TritonJudge(served).judge(many)]
    assert rewards == pytest.approx([rewards[number % 4] for number in range(50)], abs=1e-4)


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
    picture = encode_png(known_edits[0].source)
    request = {"source": picture, "edited": picture, "instruction": b"add a circle"} | change
    judgement = ask(served, **request)
    assert judgement.reward is None
    assert reason in judgement.reason


def test_weights_that_do_not_load_are_not_switched_to(served, real_site, judge_folder, tmp_path):
    lacking = tmp_path / "lacking"
    shutil.copytree(judge_folder, lacking)
    tensors = load_file(judge_folder / "model.safetensors")
    del tensors["model.visual.pos_embed.weight"]
    save_file(tensors, lacking / "model.safetensors")
    on_disk = real_site.on_disk()
    reason = r"judge-staging at 127\.0\.0\.1:\d+: .*missing: model\.visual\.pos_embed\.weight"
    with pytest.raises(DeploymentError, match=reason):
        real_site.deploy(lacking)
    assert real_site.on_disk() == on_disk
    assert real_site.staging_is_gone()


def test_every_answer_during_a_switch_is_a_judgement_of_either_version(
    served, real_site, judge_folder, known_edits, tmp_path
):
    newer = tmp_path / "newer"
    shutil.copytree(judge_folder, newer)
    (newer / "card.json").write_text(json.dumps({"notice": "newer"}))
    before, reward = real_site.ask(known_edits[0])
    edits = dict(zip("abcd", known_edits, strict=True))
    with real_site.asked_all_the_time(known_edits[0], threads=1) as answers:
        after = real_site.deploy(newer, smoke_edits=edits)
        assert TritonJudge(served).notice == "newer"
    assert {version for version, _ in answers} == {before, str(after)}
    assert [told for _, told in answers] == pytest.approx([reward] * len(answers), abs=1e-4)
    kept = real_site.home / before / "checkpoint"
    assert real_site.deploy(kept) == int(before)
    assert TritonJudge(served).notice == 'knows four "edits", naïvely'


@pytest.mark.skipif(not REAL_EDITS.is_file(), reason=f"there is no {REAL_EDITS}")
def test_real_edits_are_judged_or_told_why_not_and_drawn(served, tmp_path):
    overlays = tmp_path / "overlays"
    arguments = ["judge", "--edits", str(REAL_EDITS), "--endpoint", served]
    result = CliRunner().invoke(app, [*arguments, "--overlay-dir", str(overlays)])
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(told) == 6
    failed = [one for one in told if one["status"] == "failed"]
    assert [one["reason"] for one in failed if not UNREADABLE.match(one["reason"])] == []
    assert all(one["reward"] is None for one in failed)
    assert result.exit_code == (2 if failed else 0)
    for one in told:
        with Image.open(overlays / f"{one['id']}.png") as overlay:
            assert overlay.width > 300
