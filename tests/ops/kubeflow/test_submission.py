import pytest

from spatialreward.ops.kubeflow import (
    KubeflowError,
    Request,
    publish,
    read_package,
    schedule,
    start,
)
from spatialreward.ops.kubeflow.errors import (
    AlreadyThere,
    NotFound,
    OutcomeUnknown,
    RequestRefused,
    ServerFault,
)
from tests.ops.kubeflow.standin import Fault


@pytest.fixture
def version(client, package):
    return publish(client, package)[0]


def nightly(**changes):
    return Request(run_name="nightly", note="profile tiny", **changes)


def test_a_pipeline_is_published_once_and_a_change_is_a_version_of_it(
    standin, client, write_package
):
    first = read_package(write_package())
    made, was_there = publish(client, first, "commit abc")
    assert (made.name, was_there) == (first.version_name, False)
    assert publish(client, first) == (made, True)
    changed = read_package(write_package(sdkVersion="kfp-2.17.1"))
    other, was_there = publish(client, changed)
    assert (other.name, was_there) == (changed.version_name, False)
    assert made.pipeline_id == other.pipeline_id
    assert standin.count("POST", "/pipelines") == 1
    assert standin.count("POST", "/pipelines/upload_version") == 2
    stored = standin.backend.versions[made.pipeline_version_id]
    assert stored["description"] == f"commit abc, sha256 {first.sha256}"
    assert stored["pipeline_spec"] == first.spec


def test_a_version_is_found_behind_many_others(standin, client, package):
    made, _ = publish(client, package)
    for number in range(250):
        standin.backend.upload_version(
            {"pipelineid": made.pipeline_id, "name": f"0.0.{number}"}, b"{}", "p.yaml"
        )
    assert publish(client, package) == (made, True)


def test_settings_of_the_platform_come_with_it(standin, client, write_package):
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    made, _ = publish(client, read_package(write_package(platform)))
    assert standin.backend.versions[made.pipeline_version_id]["pipeline_spec"].keys() == {
        "pipeline_spec",
        "platform_spec",
    }


@pytest.mark.parametrize("path", ["/pipelines", "/pipelines/upload_version"])
def test_an_upload_whose_answer_got_lost_is_not_doubled(standin, client, package, path):
    standin.fail("POST", path, Fault(acts=True, cut=True))
    made, _ = publish(client, package)
    assert made.name == package.version_name
    assert len(standin.backend.pipelines) == 1
    assert len(standin.backend.versions) == 1


def test_a_name_that_is_taken_but_not_to_be_found_is_an_error(standin, client, package):
    standin.fail("POST", "/pipelines", Fault(409, b'{"code": 6, "message": "already exist"}'))
    with pytest.raises(AlreadyThere, match="already exist"):
        publish(client, package)


def test_a_run_says_what_it_is_and_who_started_it(standin, client, version):
    request = nightly(parameters={"steps": 5}, service_account="runner", experiment="tries")
    run = start(client, version, request)
    stored = standin.backend.runs[run.run_id]
    assert stored["display_name"] == "nightly"
    assert stored["description"].startswith("profile tiny, by spatialreward 0.1.0, submission ")
    assert stored["runtime_config"] == {"parameters": {"steps": 5}}
    assert stored["service_account"] == "runner"
    assert stored["pipeline_version_reference"] == {
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.pipeline_version_id,
    }
    experiment = standin.backend.experiments[stored["experiment_id"]]
    assert experiment["display_name"] == "tries"
    start(client, version, request)
    assert len(standin.backend.experiments) == 1
    assert len(standin.backend.runs) == 2, "two submissions are two runs"


@pytest.mark.parametrize("fault", [Fault(acts=True, cut=True), Fault(504, b"late", acts=True)])
def test_a_run_whose_answer_got_lost_is_found_and_not_started_twice(
    standin, client, version, fault
):
    start(client, version, nightly())
    standin.fail("POST", "/runs", fault)
    run = start(client, version, nightly())
    assert len(standin.backend.runs) == 2
    assert run.run_id == list(standin.backend.runs)[-1], "it is not the older one of that name"


def test_a_run_that_never_appears_is_not_started_again(standin, client, version, pauses):
    standin.fail("POST", "/runs", Fault(200, b'{"run_id": "x"}', cut=True))
    with pytest.raises(OutcomeUnknown, match=r"nightly.*not known.*runs list"):
        start(client, version, nightly())
    assert standin.count("POST", "/runs") == 1
    assert len([one for one in pauses if one > 1]) == 3, "it was looked for more than once"


def test_a_server_that_fails_to_start_a_run_says_why(standin, client, version):
    standin.fail("POST", "/runs", Fault(500, b'{"code": 13, "message": "quota exceeded"}'))
    with pytest.raises(ServerFault, match="quota exceeded"):
        start(client, version, nightly())
    assert standin.count("POST", "/runs") == 1
    assert standin.backend.runs == {}


def test_a_server_that_fails_and_then_says_nothing_may_have_started_it(standin, client, version):
    standin.fail("POST", "/runs", Fault(504, b"late", acts=True))
    standin.fail("GET", "/runs", Fault(503, b"{}"), 99)
    with pytest.raises(OutcomeUnknown, match=r"nightly.*not known"):
        start(client, version, nightly())
    assert standin.count("POST", "/runs") == 1


def test_a_run_of_an_experiment_that_somebody_made_just_now(standin, client, version):
    standin.fail("POST", "/experiments", Fault(acts=True, cut=True))
    start(client, version, nightly())
    assert len(standin.backend.experiments) == 1


def test_a_version_that_was_deleted_is_named(standin, client, version):
    standin.backend.versions.clear()
    with pytest.raises(NotFound, match=version.pipeline_version_id):
        start(client, version, nightly())


def test_a_schedule_runs_one_at_a_time(standin, client, version):
    trigger = {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    made = schedule(client, version, nightly(), trigger)
    assert made.trigger.cron_schedule.cron == "0 0 3 * * 1"
    assert made.status == "ENABLED"
    stored = standin.backend.schedules[made.recurring_run_id]
    assert (stored["max_concurrency"], stored["no_catchup"]) == ("1", True)


def test_a_schedule_whose_answer_got_lost_is_not_made_twice(standin, client, version):
    trigger = {"periodic_schedule": {"interval_second": "3600"}}
    standin.fail("POST", "/recurringruns", Fault(acts=True, cut=True))
    made = schedule(client, version, nightly(), trigger)
    assert made.trigger.periodic_schedule.interval_second == "3600"
    assert list(standin.backend.schedules) == [made.recurring_run_id]
    standin.fail("POST", "/recurringruns", Fault(200, b"{}", cut=True))
    with pytest.raises(OutcomeUnknown, match="runs schedules"):
        schedule(client, version, nightly(), trigger)
    assert len(standin.backend.schedules) == 1


def test_a_schedule_that_the_server_refuses_is_not_looked_for(standin, client, version, pauses):
    with pytest.raises(RequestRefused, match="not a supported format"):
        schedule(client, version, nightly(), {"cron_schedule": {"cron": "nonsense"}})
    assert pauses == []


def test_a_shared_server_wants_a_namespace_and_gets_it(standin, connect, package):
    standin.backend.multi_user = True
    with pytest.raises(KubeflowError, match="--namespace"):
        connect().check()
    client = connect(namespace="team-a")
    client.check()
    publish(client, package)
    (pipeline,) = standin.backend.pipelines.values()
    assert pipeline["namespace"] == "team-a"


def test_a_name_with_signs_of_its_own_is_found(standin, client, package):
    version, _ = publish(client, package)
    name = "100% of a+b & \"c\" / d? 'e' #1"
    standin.fail("POST", "/runs", Fault(acts=True, cut=True))
    run = start(client, version, Request(run_name=name, experiment=name))
    assert run.display_name == name
