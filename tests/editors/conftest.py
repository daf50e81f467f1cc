import pytest

from serving.bench import stock_pipelines
from spatialreward.world.random_editors import write_klein, write_kontext, write_qwen_edit

WRITERS = {
    "kontext": write_kontext,
    "klein": write_klein,
    "klein_distilled": lambda folder: write_klein(folder, distilled=True),
    "qwen_edit": write_qwen_edit,
    "qwen_edit_plus": lambda folder: write_qwen_edit(folder, plus=True, zero_cond_t=True),
}


@pytest.fixture(scope="session")
def random_editor(tmp_path_factory):
    """Gives the folder of an editor of random weights by its name."""
    written = {}

    def folder_of(name):
        if name not in written:
            written[name] = tmp_path_factory.mktemp("editors") / name
            WRITERS[name](written[name])
        return written[name]

    return folder_of


@pytest.fixture
def beside(random_editor):
    """Gives an editor and diffusers' own pipeline by the editor's name."""

    def made(name, **settings):
        folder = random_editor(name)
        match name:
            case "kontext":
                return stock_pipelines.kontext(folder, **settings)
            case "klein" | "klein_distilled":
                return stock_pipelines.klein(
                    folder, is_distilled=name == "klein_distilled", **settings
                )
        is_plus = name == "qwen_edit_plus"
        return stock_pipelines.qwen_edit(folder, is_plus=is_plus, **settings)

    with stock_pipelines.small_areas():
        yield made
