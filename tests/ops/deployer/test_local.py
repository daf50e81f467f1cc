import pytest
import tritonclient.grpc
from filelock import FileLock

from spatialreward.ops.deployer.backends import Served
from spatialreward.ops.deployer.config import DeployerConfig, LocalBackend, TrialBounds
from spatialreward.ops.deployer.local import LocalServing
from spatialreward.ops.deployer.loop import Deployer
from spatialreward.ops.deployer.reconcile import Outcome
from spatialreward.ops.deployment.errors import NothingKnown
from spatialreward.ops.deployment.lifecycle import LOCK_FILE
from spatialreward.ops.promotion import demote
from spatialreward.stack import Service, StackConfig, running_stack

from .conftest import Site


@pytest.fixture
def site(triton, scripted_template, registry):
    return Site(triton, registry.name, scripted_template)


@pytest.fixture
def deployer_of(registry):
    """Makes a deployer of the test's model for a site."""

    def make(site, **options):
        edits = {
            "smoke_edits": options.pop("smoke", {}),
            "probe_edits": options.pop("probes", {}),
            # Time says nothing here: what else the machine does would decide.
            "bounds": TrialBounds(latency_slack_s=3600),
        }
        backend = LocalBackend(
            endpoint=site.endpoint,
            repository_key=site.key,
            repository=site.repository,
            template=site.template,
            model=site.model,
        )
        config = DeployerConfig(name=registry.name, backend=backend, port=0, **options)
        return Deployer(config, LocalServing(backend, registry.name, **edits))

    return make


def test_the_champion_is_served_and_a_failing_one_never_answers(
    site, deployer_of, registry, scripted, edit
):
    deployer = deployer_of(site, smoke={"one": edit})
    assert deployer.once().outcome is Outcome.ERROR  # there is no such model
    registry.register(scripted("unpromoted"))
    assert deployer.once().outcome is Outcome.UNCHANGED
    first = registry.promote(scripted("first", reward=0.25))
    assert deployer.once().outcome is Outcome.DEPLOYED
    assert registry.serving(first.version) == "served"
    assert deployer.once().outcome is Outcome.UNCHANGED
    broken = ["-staging"]
    with site.asked_all_the_time(edit, threads=1) as answers:
        for reason, script in {
            "these weights are broken": {"breaks_as": broken},
            "edit one: answer is not JSON": {"fails_as": broken},
        }.items():
            bad = registry.promote(scripted(reason[:8], reward=0.75, **script))
            look = deployer.once()
            assert look.outcome is Outcome.FAILED
            assert reason in look.message
            assert look.served.version == first.version
            assert registry.champion() == first.version
            assert registry.serving(bad.version).startswith("failed: ")
    assert set(answers) == {(str(first.version), 0.25)}
    with site.asked_all_the_time(edit, threads=1) as answers:
        good = registry.promote(scripted("good", reward=0.75))
        assert deployer.once().outcome is Outcome.DEPLOYED
    assert set(answers) <= {(str(first.version), 0.25), (str(good.version), 0.75)}
    assert registry.serving(first.version) == "retired"
    demote(registry.name, by="bob", reason="slow")
    assert deployer.once().outcome is Outcome.DEPLOYED
    assert site.ask(edit) == (str(first.version), 0.25)
    assert registry.serving(good.version) == "retired"


def test_a_version_that_disagrees_with_the_served_one_is_not_switched_to(
    site, deployer_of, registry, scripted, edit
):
    deployer = deployer_of(site, probes={"one": edit})
    registry.promote(scripted("first", reward=0.25))
    assert deployer.once().outcome is Outcome.DEPLOYED
    other = registry.promote(scripted("other", reward=0.75))
    look = deployer.once()
    assert look.outcome is Outcome.FAILED
    assert "its rewards differ by 0.500 on average, allowed are 0.250" in look.message
    assert registry.serving(other.version).startswith("failed: ")
    assert site.ask(edit) == ("1", 0.25)
    near = registry.promote(scripted("near", reward=0.5))
    with FileLock(site.repository / LOCK_FILE):
        look = deployer.once()
    assert look.outcome is Outcome.ERROR
    assert "another process is deploying there" in look.message
    assert registry.champion() == near.version
    assert deployer.once().outcome is Outcome.DEPLOYED
    assert registry.champion() == near.version
    registry.promote(scripted("far", reward=0.75))
    assert deployer.once().outcome is Outcome.DEPLOYED
    # Back to the first, from which the last one was not a step but two.
    for _ in range(2):
        demote(registry.name, by="bob", reason="it judges badly")
    assert deployer.once().outcome is Outcome.DEPLOYED
    assert site.ask(edit)[1] == 0.25


def test_a_version_that_nobody_wants_any_more_is_not_switched_to(site, registry, scripted, edit):
    where = LocalBackend(
        endpoint=site.endpoint,
        repository_key=site.key,
        repository=site.repository,
        template=site.template,
        model=site.model,
    )
    serving = LocalServing(where, registry.name, {}, {}, TrialBounds())
    site.deploy(scripted("folder", reward=0.5))
    # Its number is 1, but it is not version 1 of the registry.
    assert serving.served() is None
    first = serving.deploy(registry.register(scripted("first", reward=0.25)), lambda: None)
    assert serving.served() == first == Served(1, f"{site.model}/1")

    def no_longer_wanted():
        raise NothingKnown("another version is champion")

    with pytest.raises(NothingKnown, match="another version"):
        serving.deploy(registry.register(scripted("second", reward=0.75)), no_longer_wanted)
    assert site.ask(edit) == ("1", 0.25)
    assert site.staging_is_gone()


def test_a_server_that_was_started_again_serves_the_champion_again(
    deployer_of, registry, scripted, scripted_template, edit, tmp_path
):
    config = StackConfig(
        state_dir=tmp_path / "triton", without=frozenset({Service.S3, Service.MLFLOW})
    )
    with running_stack(config) as endpoints:
        site = Site(endpoints.triton, registry.name, scripted_template)
        deployer = deployer_of(site)
        registry.promote(scripted("first", reward=0.25))
        assert deployer.once().outcome is Outcome.DEPLOYED
    registry.promote(scripted("second", reward=0.75))
    look = deployer.once()
    assert look.outcome is Outcome.ERROR
    assert "no server answers" in look.message
    assert registry.champion() == 2
    with running_stack(config) as endpoints:
        site = Site(endpoints.triton, registry.name, scripted_template)
        deployer = deployer_of(site)
        assert deployer.once().outcome is Outcome.DEPLOYED
        assert site.ask(edit) == ("2", 0.75)
        server = tritonclient.grpc.InferenceServerClient(site.endpoint)
        server.unload_model(site.model, headers=site.metadata)
        assert deployer.once().outcome is Outcome.DEPLOYED
        assert site.ask(edit) == ("2", 0.75)
