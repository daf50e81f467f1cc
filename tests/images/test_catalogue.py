import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from manifests.images.catalogue import BASES_FILE, COMPOSE_FILE, IMAGES, ROOT, third_party

COMPOSE = Path(sys.executable).with_name("docker-compose")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BY_NAME = {image.name: image for image in IMAGES}
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/component.py"))


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def project(variant):
    """The file as compose resolves it."""
    files = [f"--file={COMPOSE_FILE}", f"--env-file={BASES_FILE}", f"--profile={variant}"]
    answer = subprocess.run(
        [COMPOSE, *files, "config", "--format=json"],
        env={"PATH": os.environ["PATH"], "VARIANT": variant},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def builds(project):
    return {service["image"]: service["build"] for service in project["services"].values()}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_names_the_image_that_is_built_for_it(component):
    image = BY_NAME[component.replace("_", "-")]
    assert image.tag == importlib.import_module(f"components.{component}.component").IMAGE
    assert image.dockerfile == f"components/{component}/Dockerfile"


def test_every_dockerfile_is_built():
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("components/**/*Dockerfile")}
    found |= {str(path.relative_to(ROOT)) for path in ROOT.glob("serving/**/*Dockerfile")}
    found |= {str(path.relative_to(ROOT)) for path in ROOT.glob("manifests/**/*Dockerfile")}
    assert found == {image.dockerfile for image in IMAGES}


def test_a_base_is_built_before_the_images_on_it_and_is_not_pushed():
    tags = [image.tag for image in IMAGES]
    assert all(image.base in tags[:number] for number, image in enumerate(IMAGES) if image.base)
    assert [image.name for image in IMAGES if not image.pushed] == ["base", "torch"]


def test_each_variant_builds_every_image(builds, variant):
    assert set(builds) == {image.tag for image in IMAGES}
    assert all(tag.endswith(f":{PROJECT['version']}") for tag in builds)
    assert builds["spatialreward/torch:0.1.0"]["args"]["VARIANT"] == variant
    serving = builds["spatialreward/serving:0.1.0"]["args"]
    base = third_party()[{"cpu": "BASE_IMAGE", "cuda": "TRITON_IMAGE"}[variant]]
    assert serving == {"BASE_IMAGE": base, "VARIANT": variant}


def test_a_build_gives_a_dockerfile_the_arguments_that_it_declares(builds):
    for build in builds.values():
        text = (ROOT / build["dockerfile"]).read_text()
        declared = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE)) - {"PIP_CONFIG_FILE"}
        # Of the two targets of one file, only the second knows the variant.
        declared -= {"VARIANT"} if build.get("target") == "base" else set()
        assert set(build["args"]) == declared, build["dockerfile"]


def test_a_build_gets_the_settings_of_pip_as_secrets(project):
    wanted = {
        name
        for image in IMAGES
        for name in re.findall("type=secret,id=(\\S+)", (ROOT / image.dockerfile).read_text())
    }
    assert set(project["secrets"]) == wanted
    # Where none are named, pip's own.
    assert {secret["file"] for secret in project["secrets"].values()} == {os.devnull}
    for service in project["services"].values():
        assert {one["source"] for one in service["build"]["secrets"]} == wanted


def test_labels_name_the_image_its_license_version_and_commit(builds):
    for tag, build in builds.items():
        labels = {name.rpartition(".")[2]: value for name, value in build["labels"].items()}
        assert tag == f"{labels['title']}:{labels['version']}"
        assert labels["licenses"] == PROJECT["license"]
        assert labels["version"] == PROJECT["version"]
        assert set(labels) == {"title", "licenses", "version", "revision", "created", "source"}


@pytest.mark.parametrize("reference", third_party().values())
def test_images_of_others_are_exact_versions(reference):
    tag = reference.rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), tag


def test_manifests_use_the_images_that_are_built_or_pinned():
    known = {image.tag for image in IMAGES} | set(third_party().values())
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


def test_triton_is_the_release_of_the_client():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert "tritonclient==2.73.0" in pins
    assert third_party()["TRITON_IMAGE"].endswith(":26.09-py3")


def test_the_object_store_is_the_release_that_runs_without_containers():
    pin = next(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if "seaweedfs" in line
    )
    assert third_party()["OBJECT_STORE_IMAGE"].rpartition(":")[2] == pin.rpartition("==")[2]


def test_what_containers_have_is_an_extra():
    extra = PROJECT["optional-dependencies"]["container"]
    assert any(requirement.startswith("kfp") for requirement in extra)
