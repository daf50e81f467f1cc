import subprocess
import sys
from pathlib import Path

import pytest

from spatialreward.client import ServingError, TritonJudge
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.load import load_judge
from spatialreward.judges.pixels import PixelDifference
from spatialreward.ops.registry import set_alias
from tests.evaluated import register_unevaluated


def test_a_folder_is_a_judge_in_this_process(judge_folder, known_edits):
    expected = Judge.load(judge_folder).judge(known_edits)
    for given in (judge_folder, str(judge_folder)):
        with load_judge(given) as judge:
            assert judge.judge(known_edits) == expected
            assert judge.notice == 'knows four "edits", naïvely'
            assert judge.identity.name == judge_folder.name
            assert judge.identity.weights == digest_folder(judge_folder)


def test_a_registered_model_is_fetched(client, judge_folder, known_edits):
    model = register_unevaluated("loaded", judge_folder)
    set_alias(model, "champion")
    for name in ("models:/loaded@champion", model.uri):
        with load_judge(name) as judge:
            (judgement,) = judge.judge(known_edits[:1])
            assert (judge.identity.name, judge.identity.version) == ("loaded", "1")
        assert judgement.reward is not None
        assert judgement.judged_by == str(judge.identity)


def test_servers_are_named_by_their_addresses():
    with load_judge("triton:a:8001, b:8001") as judge:
        assert isinstance(judge, TritonJudge)


def test_the_baseline_needs_no_model(known_edits):
    with load_judge("pixels") as judge:
        assert isinstance(judge, PixelDifference)
        judgements = judge.judge(known_edits)
        assert [one.judged_by for one in judgements] == [str(judge.identity)] * 4
    assert str(judge.identity) == "pixels/1, geometric"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no/such",
            "judge no/such: there is no such folder; expected a folder, hub:OWNER/NAME@REV",
        ),
        (Path("pixel"), "judge pixel: there is no such folder"),
        ("triton:", "expected HOST:PORT, got ''"),
        ("triton:a", "expected HOST:PORT, got 'a'"),
    ],
)
def test_what_is_no_judge_is_named(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=message):
        load_judge(name)


def test_a_folder_without_a_judge_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=str(tmp_path)):
        load_judge(tmp_path)


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("FOLDER", "torch", "judge"),
        ("triton:a:1", "tritonclient", "client"),
        ("openai:m@https://h/v1", "openai", "chat"),
    ],
)
def test_what_is_not_installed_is_named(name, missing, extra, judge_folder):
    """In a process that cannot import it, as where only the library itself is installed."""
    name = name.replace("FOLDER", str(judge_folder))
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from spatialreward import ServerBusy, SpatialRewardError, load_judge\n"
        "try:\n"
        f"    load_judge({name!r})\n"
        "except SpatialRewardError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    advice = f"{missing} is not installed: pip install 'spatialreward[{extra}]'"
    assert ran.stdout == f"{advice}\n"


def test_a_closed_judge_says_so(judge_folder, known_edits):
    with load_judge(judge_folder) as judge:
        pass
    with pytest.raises(SpatialRewardError, match="has been closed"):
        judge.judge(known_edits)
    with load_judge("triton:a:1") as judge:
        pass
    with pytest.raises(ServingError, match="has been closed"):
        judge.judge(known_edits)


@pytest.mark.parametrize("name", ["pixels", "triton:a:1"])
def test_every_judge_refuses_what_is_no_edit(name, known_edits):
    with load_judge(name) as judge, pytest.raises(InvalidInputError, match=r"edits\[1\]"):
        judge.judge([known_edits[0], "add a dog"])


def test_a_judge_in_this_process_refuses_what_is_no_edit(judge_folder, known_edits):
    with load_judge(judge_folder) as judge, pytest.raises(InvalidInputError, match="edits: "):
        judge.judge(known_edits[0])
