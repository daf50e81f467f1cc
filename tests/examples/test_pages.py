"""The Python of the pages on judging runs, block after block, as a reader would run it."""

import re
from pathlib import Path

import pytest
from PIL import Image

from spatialreward import load_image

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch, served, judge_folder):
    """Runs blocks in a folder with the examples, against judges that are there."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name in ("source.png", "edited.png"):
        Image.new("RGB", (64, 64), "white").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def blocks(page, until="\n## As a reward"):
        names = {}
        for block in BLOCK.findall((ROOT / "docs" / page).read_text().partition(until)[0]):
            code = block.replace("models:/spatial-reward@champion", str(judge_folder))
            code = re.sub(r"127\.0\.0\.1:8001|judge-\d:8001", served.endpoint, code)
            exec(compile(code, page, "exec"), names)
        return names

    return blocks


def test_the_quick_start_runs(run, capsys):
    names = run("quickstart.md")
    assert names["judgement"].status == "ok"
    assert load_image(Path("overlay.png")).width == 640
    told = capsys.readouterr().out
    assert 'knows four "edits", naïvely' in told
    assert str(names["judgement"].reward) in told
    assert len(names["edits"]) == 19


def test_the_page_of_the_client_runs(run):
    names = run("client.md")
    assert names["judgements"][0].judged_by == "judge/1"


@pytest.mark.parametrize("page", ["quickstart.md", "client.md", "api.md", "../examples/README.md"])
def test_links_lead_somewhere(page):
    path = ROOT / "docs" / page
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
