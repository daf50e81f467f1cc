"""Following a TrainJob against a stand-in for the cluster's API."""

import logging

import pytest

from spatialreward.ops.cluster.api import Cluster, ClusterError, ClusterUnavailable, NoCluster
from spatialreward.ops.cluster.following import Pace, TrainJobError, run_train_job
from spatialreward.ops.cluster.train_job import TRAIN_JOB, Nodes, delete_train_jobs, train_job

NAME = "train-judge-0123456789abcdef"
NODES = Nodes(image="i", num_nodes=2)
JOB = train_job(NAME, NODES, ["-m", "x"], "run-1", {})


class Clock:
    """Time that passes during waits."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    @property
    def pace(self):
        return Pace(poll_s=5, patience_s=60, gone_s=30, sleep=self.sleep, clock=lambda: self.now)


def follow(cluster, pace=None):
    told = []
    state = run_train_job(cluster, JOB, told.append, pace or Clock().pace)
    return state, told


def meanwhile(server, *events):
    """What happens in the cluster between the looks of a follower."""
    server.on_look += events


def completes(server, *lines):
    def start():
        server.start(NAME)
        for second, line in enumerate(lines):
            server.say(second, line)

    meanwhile(server, lambda: None, start, lambda: server.condition(NAME, "Complete"))


def test_it_is_created_followed_with_its_log_and_deleted(server, cluster):
    completes(server, "step 50: loss 0.4", "finished in 3 s")
    assert follow(cluster) == ("complete", ["step 50: loss 0.4", "finished in 3 s"])
    assert server.created == server.deleted == [NAME]
    assert not server.jobs


def test_no_line_is_told_twice_or_left_out_when_a_log_is_cut(server, cluster):
    lines = [f"line {number}" for number in range(8)]
    server.log_cut_after = 100
    completes(server, *lines)
    meanwhile(server)
    _, told = follow(cluster)
    assert told == lines


def test_equal_lines_of_one_moment_are_all_told(server, cluster):
    def start():
        server.start(NAME)
        server.say(1, "same")
        server.say(1, "same")

    meanwhile(
        server,
        start,
        lambda: server.say(1, "same"),
        lambda: None,
        lambda: server.condition(NAME, "Complete"),
    )
    assert follow(cluster)[1] == ["same"] * 3


def test_later_looks_ask_for_the_end_of_the_log_only(server, cluster):
    completes(server, "one")
    follow(cluster)
    asked = [query.get("sinceSeconds") for _, query in server.asked_for_logs]
    assert asked[0] is None
    assert asked[1] == "10"
    assert all(query["container"] == "node" for _, query in server.asked_for_logs)


def test_a_node_that_is_replaced_is_listened_to_from_its_beginning(server, cluster):
    def first():
        server.start(NAME, "old")
        server.say(5, "from the old", "old")

    def second():
        server.start(NAME, "new", created="2026-11-25T12:10:00Z")
        server.say(1, "from the new", "new")

    meanwhile(server, first, second, lambda: server.condition(NAME, "Complete"))
    assert follow(cluster)[1] == ["from the old", "from the new"]


def test_a_failure_says_what_the_job_the_pods_and_the_step_say(server, cluster):
    def fails():
        server.say(1, "error: batch_size 24: cannot be divided evenly among 16 processes")
        server.pod_fails(1, "Error")
        server.condition(NAME, "Failed", "jobset failed")

    meanwhile(server, lambda: server.start(NAME), fails)
    with pytest.raises(TrainJobError) as caught:
        follow(cluster)
    assert str(caught.value) == (
        f"TrainJob {NAME} failed: jobset failed; pod node-0 ended with status 1 (Error); error: "
        "batch_size 24: cannot be divided evenly among 16 processes"
    )
    assert server.deleted == [NAME]


def test_a_pod_without_memory_is_told_as_such(server, cluster):
    def fails():
        server.pod_fails(137, "OOMKilled")
        server.condition(NAME, "Failed", "jobset failed")

    meanwhile(server, lambda: server.start(NAME), fails)
    with pytest.raises(TrainJobError, match=r"status 137 \(OOMKilled\)"):
        follow(cluster)


def test_another_attempt_follows_what_is_there(server, cluster, caplog):
    assert cluster.create(TRAIN_JOB, JOB)
    completes(server, "still at it")
    with caplog.at_level(logging.INFO):
        assert follow(cluster) == ("complete", ["still at it"])
    assert server.created == [NAME]
    assert "is there already: following it" in caplog.text


def test_what_has_failed_before_is_replaced(server, cluster):
    assert cluster.create(TRAIN_JOB, JOB)
    server.condition(NAME, "Failed", "of the last attempt")
    server.lingering = 3
    meanwhile(server, *[lambda: None] * 4)
    completes(server)
    assert follow(cluster)[0] == "complete"
    assert server.created == [NAME, NAME]


def test_an_api_that_is_away_for_a_while_is_asked_again(server, cluster):
    completes(server, "one", "two")
    server.failing = [503, 0, 500, 429]
    assert follow(cluster) == ("complete", ["one", "two"])
    assert server.created == [NAME]


def test_an_api_that_stays_away_ends_the_step(server, cluster):
    server.failing = [503] * 100
    clock = Clock()
    with pytest.raises(ClusterUnavailable, match=f"TrainJob kubeflow/{NAME}: status 503, etcd"):
        follow(cluster, clock.pace)
    assert clock.now == pytest.approx(65 + 3), "patience, then a few quick tries to delete"


def test_what_the_cluster_refuses_is_not_asked_again(server, cluster):
    server.forbidden = True
    with pytest.raises(ClusterError, match="status 403, pipeline-runner cannot do that"):
        follow(cluster)


def test_a_log_that_must_not_be_read_is_told_once_and_does_not_end_the_step(
    server, cluster, caplog
):
    server.logs_forbidden = True
    completes(server, "unheard")
    with caplog.at_level(logging.WARNING):
        assert follow(cluster) == ("complete", [])
    assert [one.message for one in caplog.records] == [
        "log of pod kubeflow/node-0: status 403, pipeline-runner cannot get pods/log",
        f"the end of what TrainJob {NAME} said cannot be read",
    ]


def test_an_interrupted_step_takes_its_training_with_it(server, cluster):
    def interrupt():
        raise KeyboardInterrupt

    def listen(line):
        interrupt()

    completes(server, "one line")
    with pytest.raises(KeyboardInterrupt):
        run_train_job(cluster, JOB, listen, Clock().pace)
    assert server.deleted == [NAME]


def test_a_training_that_somebody_deletes_is_gone(server, cluster):
    meanwhile(server, lambda: server.start(NAME), lambda: server.jobs.pop(NAME))
    assert follow(cluster)[0] == "gone"


def test_one_that_will_not_go_is_told(server, cluster):
    assert cluster.create(TRAIN_JOB, JOB)
    server.condition(NAME, "Failed")
    server.lingering = 100
    with pytest.raises(ClusterError, match="deleted, but still there after 30 s"):
        follow(cluster)


def test_all_that_a_run_still_has_is_deleted_at_once(server, cluster):
    for name, run in (("a", "run-1"), ("b", "run-2"), ("c", "run-1")):
        cluster.create(TRAIN_JOB, train_job(name, NODES, ["-m", "x"], run, {}))
    assert delete_train_jobs(cluster, "run-1") == ["a", "c"]
    assert list(server.jobs) == ["b"]


def test_no_cluster_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
    )
    with pytest.raises(NoCluster, match="which cluster"):
        Cluster.from_environment()


def test_a_kubeconfig_that_cannot_be_read_is_no_cluster_and_is_not_quoted(tmp_path, monkeypatch):
    config = tmp_path / "kubeconfig"
    config.write_text("token: [very-secret\n")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config))
    with pytest.raises(NoCluster, match="the kubeconfig is no YAML") as caught:
        Cluster.from_environment()
    assert "very-secret" not in str(caught.value)


def test_a_namespace_may_be_another_than_the_configurations(server):
    cluster = Cluster.from_environment("team-a")
    assert cluster.namespace == "team-a"
    assert cluster.where.startswith("namespace team-a of http://127.0.0.1:")
