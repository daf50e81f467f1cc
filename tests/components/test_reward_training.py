"""The judge's training on several nodes, with a stand-in for the cluster and all else real."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import spatialreward
from components.reward_deployment.run_steps import close_run
from components.reward_training.launching import train_judge_on_nodes
from components.reward_training.steps import STEP, train_judge, tune_judge
from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import InvalidInputError
from spatialreward.ops.cluster.api import ClusterUnavailable
from spatialreward.ops.cluster.following import Pace, TrainJobError
from spatialreward.ops.cluster.train_job import Nodes
from spatialreward.ops.config import FolderBase, JudgeTrainingStep, JudgeTuningStep
from spatialreward.ops.pipeline_run import open_pipeline_run, recorded_outcome
from spatialreward.ops.tracking import TrackingError, child_runs
from spatialreward.storage import ObjectStore
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.grpo_config import GrpoConfig, RewardWeights
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE
from tests.ops.cluster.api_server import api_server

ROOT = Path(spatialreward.__file__).parents[1]
NODES = Nodes(image="spatialreward/reward-training:0.1.0", num_nodes=2)
SOON = Pace(poll_s=0.05)
WORLD = DataConfig(num_train=8, num_shards=1)


@pytest.fixture
def cluster(client, tmp_path, monkeypatch, request):
    """A cluster's API, and a run of the platform in it."""
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("SPATIALREWARD_KFP_RUN_ID", request.node.name)
    with api_server(tmp_path) as (state, config):
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config)
        )
        yield state


@pytest.fixture
def parent(cluster):
    return open_pipeline_run("pipeline", "test", {}, "")


@pytest.fixture
def data(client, tmp_path):
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")
    build_shard(WORLD, "train", 0, tmp_path / "data")
    return str(store.put_folder(tmp_path / "data", "s3://spatialreward/artifacts/test"))


def settings(seed=11, batch_size=4, **change):
    training = JudgeTrainingConfig(
        seed=seed, num_samples=8, optimiser=OptimiserConfig(batch_size=batch_size), **change
    )
    return JudgeTrainingStep(base=FolderBase(folder=SHIPPED_BASE), training=training, world=WORLD)


def nodes_train(cluster, processes=2):
    """What Kubeflow Trainer would do with the TrainJob: its command on its nodes, here on one."""

    def train():
        (name,) = cluster.jobs
        trainer = cluster.jobs[name]["spec"]["trainer"]
        cluster.start(name)
        env = {one["name"]: one["value"] for one in trainer["env"] if "value" in one}
        torchrun, *command = trainer["command"]
        assert torchrun == "torchrun"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *(f"--nproc-per-node={processes}", *command),
            ],
            cwd=ROOT,
            env=os.environ | env | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stderr.splitlines():
            cluster.say(1, line)
        cluster.condition(name, "Failed" if done.returncode else "Complete", "by the test")

    cluster.on_look.append(train)


def test_an_earlier_checkpoint_is_kept_beside_the_judge(client, tmp_path, monkeypatch, data):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    made = train_judge(settings(earlier_share=0.5), data, "")
    store, cards = ObjectStore.from_environment(), []
    for reference in made.split(" "):
        ref = ArtifactRef.parse(reference)
        folder = store.fetch_folder(ref, tmp_path / ref.sha256)
        assert (folder / "protocol.json").is_file()
        cards.append(json.loads((folder / "card.json").read_text()))
    judge, earlier = cards
    assert earlier["stopped_after_step"] == 1
    assert "stopped_after_step" not in judge
    # It is found done, with both.
    assert train_judge(settings(earlier_share=0.5), data, "") == made


@pytest.fixture
def judge(client):
    """The shipped base in the store, as a judge that is trained would be."""
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")
    return str(store.put_folder(SHIPPED_BASE, "s3://spatialreward/artifacts/test"))


def tuning(**more):
    rewards = RewardWeights(consistency=0, agreement=1)
    optimiser = OptimiserConfig(learning_rate=1e-6, warmup_steps=1, batch_size=4)
    settings = {"num_steps": 1, "num_generations": 2, "rewards": rewards, "optimiser": optimiser}
    return JudgeTuningStep(grpo=GrpoConfig(**settings | more))


def test_a_trained_judge_learns_from_rewards(client, tmp_path, monkeypatch, data, judge):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = tuning()
    tuned = tune_judge(settings, judge, data, "")
    ref = ArtifactRef.parse(tuned)
    folder = ObjectStore.from_environment().fetch_folder(ref, tmp_path / "tuned")
    card = json.loads((folder / "card.json").read_text())
    assert card["trained_by"] == "GRPO"
    assert card["training_processes"] == 1
    assert (folder / "protocol.json").is_file()
    # It is found done.
    assert tune_judge(settings, judge, data, "") == tuned


@pytest.mark.slow
def test_one_machine_trains_with_two_processes(client, tmp_path, monkeypatch, data):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    both = settings(seed=13, earlier_share=0.5, processes=2)
    made = train_judge(both, data, "")
    store = ObjectStore.from_environment()
    for reference in made.split(" "):
        ref = ArtifactRef.parse(reference)
        folder = store.fetch_folder(ref, tmp_path / ref.sha256)
        assert json.loads((folder / "card.json").read_text())["training_processes"] == 2
    # It is found done, and no process is started.
    assert train_judge(both, data, "") == made


@pytest.mark.slow
def test_nodes_train_one_judge_and_a_later_run_finds_it_done(cluster, parent, data, capfd):
    nodes_train(cluster)
    # Of a seed of its own: another test trains the same with one process.
    both = settings(seed=12, earlier_share=0.5)
    made = train_judge_on_nodes(both, NODES, data, "", SOON)
    judge, earlier = made.split(" ")
    assert ObjectStore.from_environment().exists(ArtifactRef.parse(earlier).manifest_uri)
    folder = ObjectStore.from_environment().fetch_folder(
        ArtifactRef.parse(judge), Path(os.environ["SPATIALREWARD_WORK_DIR"]) / "judge"
    )
    assert json.loads((folder / "card.json").read_text())["training_processes"] == 2
    (run,) = child_runs(parent)
    assert (run.name, run.status) == (STEP, "FINISHED")
    assert run.metrics["time/step_s"] > 0
    assert "judge: 2 steps on 8 edits" in capfd.readouterr().err
    assert len(cluster.created) == 1
    assert not cluster.jobs
    assert train_judge_on_nodes(both, NODES, data, "", SOON) == made
    assert len(cluster.created) == 1


@pytest.mark.slow
def test_what_the_nodes_cannot_do_is_reported_in_their_words_and_not_tried_again(
    cluster, parent, data, monkeypatch
):
    nodes_train(cluster)
    with pytest.raises(TrainJobError, match=r"error: batch_size 3: cannot be divided evenly"):
        train_judge_on_nodes(settings(batch_size=3), NODES, data, "", SOON)
    assert not cluster.jobs
    (run,) = child_runs(parent)
    assert run.tags["final"] == "true"
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    with pytest.raises(InvalidInputError, match=r"batch_size 3: .* \(not tried again\)"):
        train_judge_on_nodes(settings(batch_size=3), NODES, data, "", SOON)
    assert len(cluster.created) == 1


def test_nodes_that_never_began_leave_a_failed_run_that_says_why(cluster, parent, data):
    def never():
        (name,) = cluster.jobs
        cluster.condition(name, "Failed", "image cannot be pulled")

    cluster.on_look.append(never)
    with pytest.raises(TrainJobError, match="image cannot be pulled"):
        train_judge_on_nodes(settings(seed=1), NODES, data, "", SOON)
    (run,) = child_runs(parent)
    assert (run.name, run.status) == (STEP, "FAILED")
    assert "image cannot be pulled" in run.tags["error"]
    assert close_run('{"state": "FAILED"}', has_train_jobs=True, parent_run_id="").startswith(
        "failed: train-judge: TrainJob train-judge-"
    )


def test_a_step_that_is_ended_takes_its_nodes_with_it(cluster, parent, data):
    before = signal.getsignal(signal.SIGTERM)
    cluster.on_look.append(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train_judge_on_nodes(settings(seed=2), NODES, data, "", SOON)
    assert len(cluster.created) == 1
    assert not cluster.jobs
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_run_leaves_behind_is_deleted_at_its_end(cluster, parent):
    run = os.environ["SPATIALREWARD_KFP_RUN_ID"]
    for name, owner in (("mine", run), ("another's", "other")):
        cluster.jobs[name] = {
            "metadata": {"name": name, "labels": {"spatialreward.dev/run": owner}}
        }
    assert close_run('{"state": "SUCCEEDED"}', has_train_jobs=True, parent_run_id="") == "succeeded"
    assert list(cluster.jobs) == ["another's"]


def test_a_cluster_that_is_away_for_a_moment_is_asked_again_at_the_end(
    cluster, parent, monkeypatch
):
    monkeypatch.setattr("components.reward_deployment.run_steps._WAITS_S", (0.0, 0.0))
    run = os.environ["SPATIALREWARD_KFP_RUN_ID"]
    cluster.jobs["mine"] = {"metadata": {"name": "mine", "labels": {"spatialreward.dev/run": run}}}
    cluster.failing = [503, 0]
    assert close_run('{"state": "COMPLETE"}', has_train_jobs=True, parent_run_id="") == "succeeded"
    assert not cluster.jobs
    cluster.failing = [503] * 3
    with pytest.raises(ClusterUnavailable, match="status 503"):
        close_run('{"state": "FAILED"}', has_train_jobs=True, parent_run_id="")
    assert recorded_outcome(parent).ended == "failed"


def test_what_the_nodes_failed_of_is_reported_although_it_cannot_be_recorded(
    cluster, parent, data, monkeypatch
):
    def away(_):
        raise TrackingError("no server")

    monkeypatch.setattr("spatialreward.ops.cluster.launching.child_runs", away)
    cluster.on_look.append(
        lambda: cluster.condition(next(iter(cluster.jobs)), "Failed", "image cannot be pulled")
    )
    with pytest.raises(TrainJobError, match="image cannot be pulled"):
        train_judge_on_nodes(settings(seed=3), NODES, data, "", SOON)
