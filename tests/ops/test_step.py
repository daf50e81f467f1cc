import logging
import threading

import pytest

from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.ops.step import STORED_TAG, run_step, step_key, work_dir
from spatialreward.ops.tracking import child_runs, open_run
from spatialreward.records import Record
from spatialreward.storage import ObjectStore


class Settings(Record):
    seed: int = 1


class Work:
    """A step's work that counts how often it is done and keeps a folder."""

    def __init__(self, content="made"):
        self.content = content
        self.times = 0

    def __call__(self, step):
        self.times += 1
        folder = step.new_folder("out")
        folder.mkdir()
        (folder / "file.txt").write_text(self.content)
        return {"out": step.keep(folder), "group": {"share": 0.5, "failed_share/cut_off": 0.25}}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch, client):
    """Every test works in a folder of its own, with a real store and a real MLflow."""
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))


@pytest.fixture
def unique(request):
    """A step's name that no other test uses, since the store outlives a test."""
    return request.node.name.replace("_", "-")[:60]


def test_a_finished_step_is_not_done_again(unique, client):
    work = Work()
    with open_run("pipeline") as parent:
        first, second = (
            run_step(unique, Settings(), {}, work, parent_run_id=parent.run_id) for _ in range(2)
        )
    assert work.times == 1
    assert first == second
    done, reused = child_runs(parent.run_id)
    assert reused.tags["reused"] == "true"
    assert reused.tags["reused_run_id"] == done.run_id
    for run in (done, reused):
        metrics = client.get_run(run.run_id).data.metrics
        assert metrics["group/share"] == 0.5
        assert metrics["group/failed_share/cut_off"] == 0.25
        assert client.get_run(run.run_id).data.params == {"seed": "1"}


@pytest.mark.parametrize(
    "change",
    [
        {"config": Settings(seed=2)},
        {"inputs": {"data": "other"}},
        {"package": "components.rl_finetuning"},
        {"name": "another-step"},
    ],
)
def test_whatever_the_result_follows_from_is_in_the_key(change):
    given = {
        "name": "train",
        "config": Settings(),
        "inputs": {"data": "some"},
        "package": "components.reward_training",
    }
    assert step_key(**given) == step_key(**given)
    assert step_key(**given | change) != step_key(**given)


def test_a_step_is_done_again_by_other_code(unique, monkeypatch):
    work = Work()
    for name, times in (("first", 1), ("first", 1), ("second", 2), ("first", 2)):
        monkeypatch.setenv("SPATIALREWARD_CODE_VERSION", name)
        run_step(unique, Settings(), {}, work)
        assert work.times == times


def test_a_failed_step_says_why_and_goes_on_where_it_was(unique, client):
    def fail(step):
        step.resume_file.write_text("halfway")
        raise InvalidInputError("data set x:\nis broken")

    def go_on(step):
        assert step.resume_file.read_text() == "halfway"
        return {"count": 1}

    with open_run("pipeline") as parent:
        with pytest.raises(InvalidInputError):
            run_step(unique, Settings(), {}, fail, parent_run_id=parent.run_id)
        (failed,) = child_runs(parent.run_id)
        assert failed.status == "FAILED"
        assert failed.tags["error"] == "data set x: is broken"
        assert run_step(unique, Settings(), {}, go_on, parent_run_id=parent.run_id) == {"count": 1}
    assert [path.name for path in work_dir().iterdir()] == ["locks"]


def test_a_step_whose_artifact_is_gone_is_done_again(unique):
    work = Work()
    ref = ArtifactRef.parse(run_step(unique, Settings(), {}, work)["out"])
    ObjectStore.from_environment().remove(ref.manifest_uri)
    assert run_step(unique, Settings(), {}, work)["out"] == str(ref)
    assert work.times == 2
    run_step(unique, Settings(), {}, work)
    assert work.times == 2


def test_a_run_says_how_large_the_folders_are_that_it_answers_with(unique, client):
    with open_run("pipeline") as parent:
        for _ in range(2):
            run_step(unique, Settings(), {}, Work("12345"), parent_run_id=parent.run_id)
    done, reused = child_runs(parent.run_id)
    assert reused.tags["reused"] == "true"
    for run in (done, reused):
        sizes = {name: size for name, size in run.tags.items() if name.startswith(STORED_TAG)}
        assert sizes == {"stored_bytes.out": "5"}


def test_a_folder_can_be_kept_at_a_place(unique):
    def work(step):
        folder = step.new_folder("out")
        folder.mkdir()
        (folder / "a").write_text("a")
        return {"out": step.keep(folder, f"s3://spatialreward/data/{unique}")}

    ref = ArtifactRef.parse(run_step(unique, Settings(), {}, work)["out"])
    assert ref.uri == f"s3://spatialreward/data/{unique}"
    assert ObjectStore.from_environment().get_content(f"{ref.uri}/a") == b"a"


def test_an_input_of_an_older_version_is_refused_with_what_to_do(unique):
    older = f"s3://spatialreward/artifacts/x/0.tar#sha256={'0' * 64}&size=1"
    with pytest.raises(InvalidInputError, match="run the step again"):
        run_step(unique, Settings(), {"data": older}, lambda step: {"at": str(step.fetch("data"))})


def test_a_step_with_an_outside_effect_is_done_every_time(unique):
    work = Work()
    for _ in range(2):
        run_step(unique, Settings(), {}, work, reuse=False)
    assert work.times == 2


def test_a_step_can_be_run_again_and_then_stands(unique, monkeypatch):
    run_step(unique, Settings(), {}, Work("before"))
    monkeypatch.setenv("SPATIALREWARD_RERUN", "1")
    again = run_step(unique, Settings(), {}, Work("after"))
    monkeypatch.delenv("SPATIALREWARD_RERUN")
    assert run_step(unique, Settings(), {}, Work("never")) == again


def test_of_two_at_once_one_works_and_the_other_waits(unique):
    work, outputs = Work(), []
    threads = [
        threading.Thread(target=lambda: outputs.append(run_step(unique, Settings(), {}, work)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert work.times == 1
    assert outputs[0] == outputs[1]


def test_an_input_is_fetched_and_noted_as_data_set(unique, client):
    made = run_step(unique, Settings(), {}, Work("pictures"))["out"]

    def read(step):
        again = step.fetch("data")
        assert again == step.fetch("data")
        return {"length": len((again / "file.txt").read_text())}

    with open_run("pipeline") as parent:
        outputs = run_step(
            f"{unique}-reader",
            Settings(),
            {"data": made},
            read,
            parent_run_id=parent.run_id,
            data_sets={"data": "training"},
        )
    assert outputs == {"length": 8}
    (child,) = child_runs(parent.run_id)
    (data_set,) = client.get_run(child.run_id).inputs.dataset_inputs
    assert data_set.dataset.name == "data"


def test_a_step_runs_without_mlflow(unique, monkeypatch, caplog):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with caplog.at_level(logging.INFO):
        assert run_step(unique, Settings(), {}, Work())["group"]["share"] == 0.5
    assert "group/share 0.5" in caplog.text


def test_a_store_that_is_not_named_stops_the_step_before_it_works(unique, monkeypatch):
    monkeypatch.delenv("S3_ENDPOINT_URL")
    work = Work()
    with pytest.raises(SpatialRewardError, match="S3_ENDPOINT_URL not set"):
        run_step(unique, Settings(), {}, work)
    assert work.times == 0
