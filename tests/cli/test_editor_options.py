import pytest

from spatialreward.cli.editor_options import editor_folder
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from tests.evaluated import register_unevaluated


def test_a_registered_editor_is_brought_here(client, checkpoint):
    made = register_unevaluated("editor-by-name", checkpoint)
    found = editor_folder(made.uri, "--editor")
    assert digest_folder(found) == digest_folder(checkpoint)


def test_an_editor_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"--editor .*/no: there is no such folder"):
        editor_folder(str(tmp_path / "no"), "--editor")


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "editor"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder
