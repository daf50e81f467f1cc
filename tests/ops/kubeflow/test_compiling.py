from importlib.metadata import PathDistribution

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow import compiling


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Says which functions are installed as pipelines."""

    def install(*values):
        folder = tmp_path / "installed.dist-info"
        folder.mkdir(exist_ok=True)
        lines = [f"p{number} = {value}" for number, value in enumerate(values)]
        text = "\n".join([f"[{compiling.GROUP}]", *lines, "[console_scripts]", "x = json:dumps"])
        (folder / "entry_points.txt").write_text(text)
        monkeypatch.setattr(compiling, "distributions", lambda: [PathDistribution(folder)] * 2)

    return install


def test_a_checkout_that_is_not_installed_is_said(installed):
    installed()
    with pytest.raises(InvalidInputError, match=r"no pipeline is installed.*--package FILE\.yaml"):
        compiling.compile_profile("tiny", [], None, "")


def test_a_pipeline_that_cannot_be_imported_is_said(installed):
    for value in ("no_such_module:compile", "json:no_such_function"):
        installed(value)
        with pytest.raises(InvalidInputError, match=rf"pipeline {value}: .*no_such.*--package"):
            compiling.compile_profile("tiny", [], None, "")


def test_of_two_pipelines_none_is_guessed(installed):
    installed("one:compile", "two:compile", "one:compile")
    with pytest.raises(InvalidInputError, match="one:compile, two:compile"):
        compiling.compile_profile("tiny", [], None, "")


def test_the_repository_names_its_own_pipeline():
    assert compiling._only_entry().value == "pipelines.submission:compile_profile"
