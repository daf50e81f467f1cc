import base64
import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from manifests.cluster_secrets import PLACES, secret_objects
from manifests.images.catalogue import IMAGES
from manifests.site import Component, Overlay, app, pinned_images, site
from spatialreward.errors import InvalidInputError
from tests.manifests.cluster import ROOT, kustomize, pods

DIGEST = "sha256:" + "5" * 64


def test_a_site_is_written_and_renders(tmp_path):
    words = ["write", str(tmp_path / "mine"), "--overlay=local", "--component=external-s3"]
    done = CliRunner().invoke(app, [*words, "--registry=registry.test/team/"])
    assert done.exit_code == 0, done.output
    images = {c["image"] for pod in pods(kustomize(tmp_path / "mine")) for c in pod.containers}
    assert "registry.test/team/spatialreward/mlflow:0.1.0" in images
    again = CliRunner().invoke(app, [*words, "--registry=registry.test/team/"])
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_images_of_a_lock_are_taken_by_their_digests():
    lock = {"spatialreward/serving:0.1.0": f"registry.test:5000/team/serving@{DIGEST}"}
    assert pinned_images(lock) == [
        {
            "name": "spatialreward/serving",
            "newName": "registry.test:5000/team/serving",
            "digest": DIGEST,
        }
    ]


def test_kserve_goes_with_gpus_only(tmp_path):
    with pytest.raises(InvalidInputError, match="kserve: needs --overlay gpu"):
        site(tmp_path, Overlay.LOCAL, [Component.KSERVE], [])


def test_components_are_applied_in_one_order(tmp_path):
    made = site(tmp_path, Overlay.GPU, [Component.GATEWAY, Component.EXTERNAL_S3], [])
    names = [path.rpartition("/")[2] for path in made["components"]]
    assert names == ["external-s3", "gateway"]
    assert IMAGES


def test_secrets_are_made_anew_and_are_the_same_in_both_namespaces():
    first, second = secret_objects({}), secret_objects({})
    assert first != second
    store = [one["stringData"] for one in first if "object-store" in one["metadata"]["name"]]
    assert len(store) == 2
    assert store[0] == store[1]
    webhook = next(one for one in first if one["metadata"]["name"] == "mlflow-webhook")
    assert len(base64.urlsafe_b64decode(webhook["stringData"]["ENCRYPTION_KEY"])) == 32


def test_given_values_are_used_and_the_teachers_key_is_never_invented():
    assert "teacher-key" not in {one["metadata"]["name"] for one in secret_objects({})}
    made = secret_objects({"TEACHER_KEY": "given", "AWS_ACCESS_KEY_ID": "mine"})
    assert sum(len(secrets) for secrets in PLACES.values()) == len(made)
    values = {key: value for one in made for key, value in one["stringData"].items()}
    assert values["TEACHER_KEY"] == "given"
    assert values["AWS_ACCESS_KEY_ID"] == "mine"


def test_the_command_writes_what_kubectl_creates():
    done = subprocess.run(
        [sys.executable, "-m", "manifests.cluster_secrets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {one["kind"] for one in json.loads(done.stdout)["items"]} == {"Secret"}
    assert yaml.safe_load(done.stdout)["kind"] == "List"
