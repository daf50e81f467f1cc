import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from manifests import site as sites
from manifests.cluster_secrets import PLACES, secret_objects
from manifests.images.catalogue import IMAGES
from manifests.site import Component, Overlay, app, pinned_images, site
from pipelines.placement import ENDPOINTS
from tests.manifests.cluster import PIPELINES, ROOT, SERVICES, find, kustomize, pods

DIGEST, NEWER = (f"sha256:{digit * 64}" for digit in "56")


@pytest.fixture
def pushed(tmp_path, monkeypatch):
    """An ``images.lock`` as ``make push`` writes it, of images with one digest."""
    monkeypatch.setattr(sites, "IMAGES_LOCK", tmp_path / "images.lock")

    def write(digest, images=IMAGES):
        lines = [
            f'"{image.tag}" = "registry.test/spatialreward/{image.name}@{digest}"'
            for image in images
            if image.pushed
        ]
        sites.IMAGES_LOCK.write_text("\n".join(["[images]", *lines, ""]))

    return write


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def images_of(folder):
    return {c["image"] for pod in pods(kustomize(folder)) for c in pod.containers}


def assert_pods_know_mine(folder, hand):
    """Pods of both namespaces know the store's address, once ``hand`` is added to a site."""
    with (folder / "kustomization.yaml").open("a") as file:
        file.write(hand)
    objects = kustomize(folder)
    for namespace in (SERVICES, PIPELINES):
        endpoints = find(objects, "ConfigMap", ENDPOINTS, namespace)
        assert endpoints["data"]["S3_ENDPOINT_URL"] == "https://mine.test"


def test_a_site_is_written_and_renders(tmp_path):
    words = ["write", tmp_path / "mine", "--overlay=local", "--component=external-s3"]
    done = run(*words, "--registry=registry.test/team/")
    assert done.exit_code == 0, done.output
    assert "registry.test/team/spatialreward/mlflow:0.1.0" in images_of(tmp_path / "mine")
    again = run(*words, "--registry=registry.test/team/")
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_an_address_that_is_merged_by_hand_is_found_under_the_name_that_pods_know(tmp_path):
    assert run("write", tmp_path, "--overlay=local", "--registry=x.test").exit_code == 0
    hand = "configMapGenerator:\n"
    for namespace in (SERVICES, PIPELINES):
        hand += f"- {{name: {ENDPOINTS}, namespace: {namespace}, behavior: merge, "
        hand += "literals: [S3_ENDPOINT_URL=https://mine.test]}\n"
    assert_pods_know_mine(tmp_path, hand)


def test_the_address_of_a_store_that_is_there_is_a_patch(tmp_path):
    words = ["write", tmp_path, "--overlay=local", "--component=external-s3", "--registry=x.test"]
    assert run(*words).exit_code == 0
    hand = f"patches:\n- target: {{kind: ConfigMap, name: {ENDPOINTS}}}\n  patch: |\n"
    hand += "    - {op: replace, path: /data/S3_ENDPOINT_URL, value: https://mine.test}\n"
    assert_pods_know_mine(tmp_path, hand)


def test_a_backup_is_brought_back_with_the_images_of_the_site(tmp_path, pushed):
    pushed(DIGEST)
    assert run("write", tmp_path / "mine", "--overlay=local").exit_code == 0
    ours = f"registry.test/spatialreward/reward-deployment@{DIGEST}"
    assert {one for one in images_of(tmp_path / "mine" / "restore") if "spatial" in one} == {ours}


def test_new_images_take_the_place_of_ours_and_of_nothing_else(tmp_path, pushed):
    pushed(DIGEST)
    mine = tmp_path / "mine"
    assert run("write", mine, "--overlay=local").exit_code == 0
    file = mine / "kustomization.yaml"
    hand = "\nimages:\n- name: postgres\n  newName: mirror.test/postgres\n# our class\npatches:\n"
    hand += "- target: {kind: Deployment, name: mlflow}\n  patch: |\n"
    hand += "    - {op: replace, path: /spec/replicas, value: 1}\n"
    file.write_text(file.read_text() + hand)
    text = file.read_text()
    pushed(NEWER)
    done = run("images", mine)
    assert done.exit_code == 0, done.output
    for folder in (mine, mine / "restore"):
        found = images_of(folder)
        assert f"registry.test/spatialreward/reward-deployment@{NEWER}" in found
        assert not [image for image in found if DIGEST in image]
    assert "mirror.test/postgres:17.10-bookworm" in images_of(mine)
    assert file.read_text() == text


def test_a_folder_that_is_no_site_gets_no_images(tmp_path, pushed):
    pushed(DIGEST)
    done = run("images", tmp_path / "mine")
    assert done.exit_code == 1
    assert "not found; `write` makes it" in done.output
    assert not (tmp_path / "mine").exists()


def test_a_lock_that_lacks_an_image_is_no_site(tmp_path, pushed):
    words = ("write", tmp_path / "mine", "--overlay=local")
    assert "images.lock: spatialreward/data-building" in run(*words).output
    pushed(DIGEST, [image for image in IMAGES if image.name != "mlflow"])
    done = run(*words)
    assert done.exit_code == 1
    assert "spatialreward/mlflow:0.1.0 is not there: run `make push`" in done.output
    assert not (tmp_path / "mine").exists()


def test_images_of_a_lock_are_taken_by_their_digests():
    lock = {"spatialreward/serving:0.1.0": f"registry.test:5000/team/serving@{DIGEST}"}
    assert pinned_images(lock) == [
        {
            "name": "spatialreward/serving",
            "newName": "registry.test:5000/team/serving",
            "digest": DIGEST,
        }
    ]


def test_components_are_applied_in_one_order(tmp_path):
    made = site(tmp_path, Overlay.GPU, [Component.GATEWAY, Component.EXTERNAL_S3])
    names = [path.rpartition("/")[2] for path in made["components"]]
    assert names == ["external-s3", "gateway", "images"]


def test_secrets_are_made_anew_and_are_the_same_in_both_namespaces():
    first, second = secret_objects({}), secret_objects({})
    assert first != second
    store = [one["stringData"] for one in first if "object-store" in one["metadata"]["name"]]
    assert len(store) == 2
    assert store[0] == store[1]


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
