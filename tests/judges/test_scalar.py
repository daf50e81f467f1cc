"""A judge whose scores come from a head, made of the test judge and a head of random weights."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spatialreward.errors import Failure, InvalidInputError, SpatialRewardError
from spatialreward.images import encode_png
from spatialreward.judges.engines.vllm_engine import without_head
from spatialreward.judges.modes import load_local
from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.judges.qwen_vl.scalar_head import ScalarHead, read_head, write_head
from spatialreward.judges.scalar import ScalarJudge
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.prompts import TINY
from spatialreward.records import JudgementStatus, JudgeMode, JudgingOptions, ScoreKind, Streams
from spatialreward.serving.server import JudgeServer
from tests.judges.models import with_json

BOTH = (Streams.SEMANTIC, Streams.PERCEPTUAL)


@pytest.fixture(scope="module")
def joint_folder(judge_folder, untrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint") / "judge"
    shutil.copytree(judge_folder, folder)
    head = random_head(untrained[0].config.get_text_config().hidden_size)
    write_head(folder, head, head.state_dict())
    return folder


def random_head(hidden_size, streams=BOTH):
    head = ScalarHead(hidden_size, streams)
    torch.nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(7))
    torch.nn.init.constant_(head.linear.bias, 0.25)
    return head


class Reads:
    """A reader whose hidden states are given."""

    def __init__(self, *hidden):
        self.hidden = torch.tensor(hidden)
        self.asked = []

    def last_hidden(self, questions, measure):
        self.asked += questions
        return self.hidden[: len(questions)]


def with_weights(*rows, streams=BOTH):
    head = ScalarHead(len(rows[0]), streams)
    head.linear.weight.data = torch.tensor(rows)
    return head


def test_scores_are_25_times_the_sigmoid_and_the_reward_is_theirs(known_edits):
    head = with_weights([1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 0.0])
    reader = Reads([0.0, 1.0], [1.0, 0.0])
    [judgement] = ScalarJudge(reader, head, TINY).judge(known_edits[:1])
    one, two = (25 / (1 + math.exp(-logit)) for logit in (1.0, 2.0))
    assert judgement.scores.editing_success == pytest.approx(12.5)
    assert judgement.scores.over_editing == pytest.approx(one, rel=1e-6)
    assert judgement.scores.naturalness == pytest.approx(two, rel=1e-6)
    assert judgement.scores.artifact_freedom == pytest.approx(12.5)
    assert judgement.soft_scores == judgement.scores
    assert judgement.reward == Aggregation().reward(judgement.scores)
    assert [one.compares for one in reader.asked] == [True, False]


def test_soft_and_hard_scores_are_alike_and_one_stream_may_be_asked(joint_folder, known_edits):
    soft, hard = (
        replace(known_edits[0], options=JudgingOptions(scores=kind)) for kind in ScoreKind
    )
    alone = replace(known_edits[0], options=JudgingOptions(streams=Streams.PERCEPTUAL))
    with load_local(joint_folder, mode=JudgeMode.SCALAR) as judge:
        first, second, third = judge.judge([soft, hard, alone])
    assert first.reward == second.reward
    assert third.scores.editing_success is None
    assert third.scores.naturalness == pytest.approx(first.scores.naturalness, abs=1e-4)


def test_a_head_with_broken_numbers_fails_the_edit(known_edits):
    head = with_weights([math.nan], [0.0], [0.0], [0.0])
    judge = ScalarJudge(Reads([1.0], [1.0]), head, TINY, name="broken")
    [judgement] = judge.judge(known_edits[:1])
    assert judgement.status is JudgementStatus.FAILED
    assert judgement.failure is Failure.JUDGE_FAILED
    assert judgement.judged_by.startswith("broken, ")


def test_a_closed_judge_and_what_is_no_edit_are_refused(known_edits):
    judge = ScalarJudge(Reads([1.0]), with_weights([0.0], [0.0], streams=BOTH[:1]), TINY)
    with pytest.raises(InvalidInputError, match=r"edits\[0\]"):
        judge.judge(["no edit"])
    judge.close()
    with pytest.raises(SpatialRewardError, match="this judge has been closed"):
        judge.judge(known_edits)


def test_a_written_head_is_read_back(tmp_path):
    for streams in (BOTH, BOTH[:1], BOTH[1:]):
        head = random_head(12, streams)
        write_head(tmp_path, head, head.state_dict())
        again = read_head(tmp_path, 12)
        assert again.streams == streams
        assert all(
            (again.state_dict()[name] == one).all() for name, one in head.state_dict().items()
        )
    with pytest.raises(InvalidInputError, match=r"expected \[13\], found \[12\]"):
        read_head(tmp_path, 13)


def test_the_head_is_part_of_the_digest(joint_folder, judge_folder, tmp_path):
    digests = set()
    changed = tmp_path / "judge"
    shutil.copytree(joint_folder, changed)
    head = ScalarHead(len(load_file(joint_folder / HEAD_FILE)["naturalness.weight"]), BOTH)
    write_head(changed, head, head.state_dict())
    for folder in (joint_folder, judge_folder, changed):
        with load_local(folder) as judge:
            digests.add(judge.identity.weights)
    assert len(digests) == 3


def test_vllm_has_no_hidden_states_for_a_head(joint_folder):
    with pytest.raises(InvalidInputError, match="mode scalar: expected engine transformers, which"):
        load_local(joint_folder, mode=JudgeMode.SCALAR, engine="vllm")


def test_vllm_sees_a_joint_checkpoint_without_its_head(joint_folder, judge_folder):
    with without_head(joint_folder) as seen:
        assert {path.name for path in seen.iterdir()} == {
            path.name for path in joint_folder.iterdir()
        } - {HEAD_FILE}
        assert (seen / "model.safetensors").samefile(joint_folder / "model.safetensors")
    with without_head(judge_folder) as seen:
        assert seen == judge_folder


def test_a_protocol_that_writes_nothing_decides_the_mode(joint_folder, tmp_path):
    folder = tmp_path / "judge"
    shutil.copytree(joint_folder, folder)
    with_json(folder / "protocol.json", answer="none")
    with load_local(folder) as judge:
        assert isinstance(judge, ScalarJudge)
    with pytest.raises(InvalidInputError, match=r"protocol\.json: this judge writes no answer"):
        load_local(folder, mode=JudgeMode.REASON)


def test_a_served_judge_scores_with_its_head_where_its_settings_say_so(joint_folder, known_edits):
    server = JudgeServer.load(
        joint_folder,
        {"mode": "scalar", "workers": "1"},
        model="judge",
        version="3",
        measure=lambda name, amount: None,
        stop=lambda: None,
    )
    answers = []
    edit = known_edits[0]
    files = {"SOURCE": encode_png(edit.source), "EDITED": encode_png(edit.edited)}
    files["INSTRUCTION"] = edit.instruction.encode()
    tensors = {name: np.array([[data]], dtype=object) for name, data in files.items()}
    try:
        server.submit(tensors, answers.append)
    finally:
        server.close()
    [[reward, *_]] = answers
    with load_local(joint_folder, mode=JudgeMode.SCALAR) as judge:
        [here] = judge.judge([edit])
    assert float(reward[0, 0]) == pytest.approx(here.reward, abs=1e-5)
