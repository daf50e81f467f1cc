import pytest

from spatialreward.world.random_omnigen2 import write_omnigen2


@pytest.fixture(scope="session")
def omnigen2_folder(tmp_path_factory):
    """An editor of random weights at toy widths; not to be changed."""
    folder = tmp_path_factory.mktemp("editors") / "omnigen2"
    write_omnigen2(folder)
    return folder
