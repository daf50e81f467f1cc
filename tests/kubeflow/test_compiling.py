from importlib.metadata import EntryPoint

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.kubeflow import compiling


@pytest.fixture
def installed(monkeypatch):
    """Says which functions are installed as pipelines."""

    def install(*values):
        found = [EntryPoint("p", value, compiling.GROUP) for value in values]
        monkeypatch.setattr(compiling, "entry_points", lambda group: found)

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
