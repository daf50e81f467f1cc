import importlib
import re
import tomllib

import pytest
import yaml

from manifests.images.build import BuildOptions, base_argument, source_labels
from manifests.images.catalogue import IMAGES, ROOT, Variant, third_party, with_bases
from manifests.images.locks import BASES_LOCK, read_lock

BY_NAME = {image.name: image for image in IMAGES}
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/component.py"))
DIGEST = "sha256:" + "2" * 64


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_names_the_image_that_is_built_for_it(component):
    image = BY_NAME[component.replace("_", "-")]
    assert image.tag() == importlib.import_module(f"components.{component}.component").IMAGE
    assert image.dockerfile == f"components/{component}/Dockerfile"


def test_every_dockerfile_is_built():
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("components/**/*Dockerfile")}
    found |= {str(path.relative_to(ROOT)) for path in ROOT.glob("serving/**/*Dockerfile")}
    found |= {str(path.relative_to(ROOT)) for path in ROOT.glob("manifests/**/*Dockerfile")}
    assert found == {image.dockerfile for image in IMAGES}


def test_what_an_image_stands_on_is_built_before_it():
    names = [image.name for image in with_bases({"reward-training", "data-building"})]
    assert names == ["base", "torch", "data-building", "reward-training"]


@pytest.mark.parametrize("reference", third_party().values())
def test_images_of_others_are_exact_versions(reference):
    tag = reference.rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), tag


def test_a_known_digest_is_built_on_instead_of_its_tag(tmp_path, monkeypatch):
    tag = third_party()["python"]
    lock = tmp_path / "bases.lock"
    lock.write_text(f'[images]\n"{tag}" = "docker.io/library/python@{DIGEST}"\n')
    monkeypatch.setattr("manifests.images.build.BASES_LOCK", lock)
    assert base_argument(BY_NAME["base"], BuildOptions()) == {
        "BASE_IMAGE": f"docker.io/library/python@{DIGEST}"
    }


def test_a_base_that_is_given_goes_before_all_others():
    options = BuildOptions(bases={"python": "localhost/stand-in:1"})
    assert base_argument(BY_NAME["mlflow"], options) == {"BASE_IMAGE": "localhost/stand-in:1"}


def test_serving_stands_on_tritons_image_only_for_gpus():
    on = {
        variant: base_argument(BY_NAME["serving"], BuildOptions(variant))["BASE_IMAGE"]
        for variant in Variant
    }
    assert on[Variant.CUDA].startswith("nvcr.io/nvidia/tritonserver")
    assert "python" in on[Variant.CPU]


def test_a_component_stands_on_an_image_of_ours():
    assert base_argument(BY_NAME["reward-training"], BuildOptions(Variant.CUDA)) == {
        "BASE": "spatialreward/torch:0.1.0"
    }


def test_labels_name_a_commit_and_its_time():
    labels = source_labels("https://example.org/source")
    assert labels["VERSION"] == "0.1.0"
    assert labels["SOURCE"] == "https://example.org/source"
    # Empty only where the source was unpacked from an archive.
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", labels["REVISION"])
        assert re.match(r"\d{4}-\d\d-\d\dT", labels["CREATED"])


def test_no_digest_is_in_the_repository_that_is_not_of_its_own_tag():
    assert set(read_lock(BASES_LOCK)) <= set(third_party().values())


def test_manifests_use_the_images_that_are_built_or_pinned():
    known = {image.tag() for image in IMAGES} | set(third_party().values())
    ours_or_pinned = re.compile(r"spatialreward/|chrislusf/seaweedfs|postgres:")
    used = set()
    for path in sorted((ROOT / "manifests" / "base").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            used |= set(_images(document))
    assert used, "manifests/base names images"
    assert {image for image in used if ours_or_pinned.match(image)} <= known


def _images(node):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "image" and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for value in node:
            yield from _images(value)


def test_triton_is_the_release_that_the_client_is_of():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert "tritonclient==2.73.0" in pins
    assert third_party()["triton"].endswith(":26.09-py3")


def test_the_object_store_is_the_release_that_runs_without_containers():
    pin = next(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if "seaweedfs" in line
    )
    assert third_party()["object-store"].rpartition(":")[2] == pin.rpartition("==")[2]


def test_what_containers_have_is_an_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(requirement.startswith("kfp") for requirement in extras["container"])
