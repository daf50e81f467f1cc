from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = nbformat.read(EXAMPLES / "judge.ipynb", as_version=4)


def output_of(notebook, word):
    """What the only cell with a word in it has printed or shown."""
    (cell,) = (one for one in notebook.cells if one.cell_type == "code" and word in one.source)
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
    return "".join(texts), [kind for out in cell.outputs for kind in out.get("data", {})]


def test_it_is_committed_without_outputs():
    for cell in NOTEBOOK.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("judge", ["pixels", "FOLDER"])
def test_it_runs(judge, judge_folder, monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_JUDGE", judge.replace("FOLDER", str(judge_folder)))
    notebook = nbformat.from_dict(NOTEBOOK)
    path = {"metadata": {"path": str(EXAMPLES)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=path).execute()
    assert "image/png" in output_of(notebook, "draw_overlay(")[1]
    told, _ = output_of(notebook, "failures = ")
    assert len(told.splitlines()) == 19
    refused, _ = output_of(notebook, "InvalidInputError as")
    assert [line.split(": ")[0] for line in refused.splitlines()] == [
        "source",
        "edited",
        "instruction",
    ]
