import logging

import pytest

from pipelines.full import compile_pipeline
from pipelines.images import Images
from pipelines.parts import Part
from pipelines.profile import load_profile
from spatialreward.errors import InvalidInputError
from tests.pipelines.compiled import Compiled

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAMES = (
    "data-building",
    "reward-training",
    "reward-evaluation",
    "reward-deployment",
    "rl-finetuning",
    "editor-evaluation",
)


def lock(folder, names=NAMES, address="registry.test/spatialreward/{}@" + DIGEST):
    path = folder / "images.lock"
    lines = [f'"spatialreward/{name}:0.1.0" = "{address.format(name)}"' for name in names]
    path.write_text("\n".join(["[images]", *lines]))
    return path


def compiled(folder, images):
    compile_pipeline(load_profile("tiny"), "tiny", Part.FULL, folder / "pipeline.yaml", images)
    return Compiled.read(folder / "pipeline.yaml").images()


def test_every_image_is_that_of_the_lock(tmp_path):
    assert compiled(tmp_path, Images.of(lock(tmp_path))) == {
        f"registry.test/spatialreward/{name}@{DIGEST}" for name in NAMES
    }


def test_an_image_that_the_lock_does_not_have_is_named(tmp_path):
    images = Images.of(lock(tmp_path, NAMES[:-1]))
    with pytest.raises(InvalidInputError, match=r"no image spatialreward/editor-evaluation:0\.1"):
        compiled(tmp_path, images)


def test_without_a_lock_it_is_tags_and_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING):
        images = Images.of(registry="registry.test/team/")
    assert "older image of the same tag" in caplog.text
    assert images.find("spatialreward/x:1") == "registry.test/team/spatialreward/x:1"


def test_a_lock_in_the_working_folder_is_found(tmp_path, monkeypatch, caplog):
    lock(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = Images.of().find("spatialreward/data-building:0.1.0")
    assert found == f"registry.test/spatialreward/data-building@{DIGEST}"
    assert not caplog.records


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[image]", r"expected a table \[images\]"),
        ("images = 3", r"expected a table \[images\]"),
        ("[images", "images.lock"),
        ('[images]\n"a:1" = "registry.test/a:1"', "images.a:1: expected REGISTRY/NAME@sha256"),
        ('[images]\n"a:1" = 3', "expected REGISTRY/NAME@sha256:DIGEST, got 3"),
    ],
)
def test_what_is_no_lock_is_refused(content, complaint, tmp_path):
    path = tmp_path / "images.lock"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=complaint):
        Images.of(path)


def test_a_lock_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"nowhere\.lock: No such file"):
        Images.of(tmp_path / "nowhere.lock")


def test_a_lock_and_a_registry_exclude_each_other(tmp_path):
    with pytest.raises(InvalidInputError, match="give one of the two"):
        Images.of(lock(tmp_path), "registry.test")
