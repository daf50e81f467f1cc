import datetime

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from spatialreward.folder_manifest import digest_folder
from spatialreward.ops.deployment import DeploymentError
from spatialreward.ops.deployment.folder import ModelFolder, Template, complete, fill_in
from spatialreward.ops.deployment.history import Deployment, History, VersionState
from spatialreward.protocol.prompts import TINY

GOOD, WITHDRAWN, FAILED = VersionState.GOOD, VersionState.WITHDRAWN, VersionState.FAILED


def history(served, *states):
    return History(
        served=served,
        versions=tuple(
            Deployment(
                version=number,
                source="models:/m/1",
                sha256="ab" * 32,
                deployed_at=datetime.datetime.now(datetime.UTC),
                state=state,
            )
            for number, state in enumerate(states, start=1)
        ),
    )


@pytest.mark.parametrize(
    ("served", "states", "target"),
    [
        (None, [], None),
        (1, [GOOD], None),
        (3, [GOOD, GOOD, GOOD], 2),
        (2, [GOOD, GOOD, WITHDRAWN], 1),
        (4, [GOOD, WITHDRAWN, FAILED, GOOD], 1),
    ],
)
def test_a_rollback_returns_to_the_last_good_version(served, states, target):
    found = history(served, *states).rollback_target
    assert (found and found.version) == target


@pytest.mark.parametrize(
    ("served", "states", "keep", "pruned"),
    [
        (3, [GOOD, GOOD, GOOD], 3, ()),
        (4, [GOOD, GOOD, GOOD, GOOD], 3, (1,)),
        (3, [GOOD, GOOD, GOOD], 1, (1,)),
        (4, [GOOD, WITHDRAWN, WITHDRAWN, GOOD], 1, (2, 3)),
        (4, [GOOD, WITHDRAWN, FAILED, GOOD], 2, ()),
    ],
)
def test_the_served_version_and_the_one_to_return_to_are_kept(served, states, keep, pruned):
    assert history(served, *states).pruned(keep).in_state(VersionState.PRUNED) == pruned


def test_a_history_is_what_was_written(tmp_path):
    written = history(1, GOOD, FAILED).switching(2, "config")
    written.write(tmp_path / "judge")
    assert History.read(tmp_path / "judge") == written
    assert [path.name for path in (tmp_path / "judge").iterdir()] == ["deployments.json"]


def test_numbers_are_never_used_again(tmp_path):
    folder = ModelFolder(tmp_path, "judge")
    assert folder.next_version(History()) == 1
    assert folder.next_version(history(1, GOOD, FAILED)) == 3
    (tmp_path / "judge" / "7").mkdir(parents=True)
    assert folder.next_version(history(1, GOOD, FAILED)) == 8


def test_a_copy_that_differs_from_the_checkpoint_is_refused(tmp_path, scripted, scripted_template):
    checkpoint = scripted("checkpoint")
    folder = ModelFolder(tmp_path, "judge")
    folder.stage(checkpoint, digest_folder(checkpoint), Template(scripted_template), 1)
    with pytest.raises(DeploymentError, match="2/checkpoint: expected sha256 abab"):
        folder.stage(checkpoint, "ab" * 32, Template(scripted_template), 2)


def test_a_versions_configuration_says_who_judges(scripted, scripted_template):
    checkpoint = scripted('a "notice"')
    text = complete(fill_in(Template(scripted_template), checkpoint, "ab" * 32), "judge", 3)
    config = text_format.Parse(text, ModelConfig())
    assert {name: one.string_value for name, one in config.parameters.items()} == {
        "notice": 'a "notice"',
        "judge_weights": "ab" * 32,
        "judge_protocol": TINY.reference,
        "judge_aggregation": "geometric",
    }
    assert (config.name, list(config.version_policy.specific.versions)) == ("judge", [3])
