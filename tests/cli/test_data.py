import json
import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from spatialreward.cli.main import app
from tests.data.corpus.made import write_edits

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def error_of(result):
    assert result.exit_code == 1
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def config(tmp_path):
    source = write_edits(tmp_path / "edits", 4)
    path = tmp_path / "edits.toml"
    columns = ", ".join(
        f"{name} = {json.dumps(value)}" for name, value in source["columns"].items()
    )
    path.write_text(
        f'name = "small"\nnum_shards = 2\n[source]\nkind = "jsonl"\n'
        f"folder = {json.dumps(source['folder'])}\ncolumns = {{ {columns} }}\n"
    )
    return path


def test_a_build_ends_in_a_folder_that_can_be_verified(tmp_path, config):
    result = run("build", config, "--out", tmp_path / "out", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "edits are in" in result.output
    assert "are unharmed" in run("verify", tmp_path / "out").output


def test_a_damaged_shard_is_named(tmp_path, config):
    run("build", config, "--out", tmp_path / "out", "--workers", 1)
    shard = tmp_path / "out" / "edits-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert "edits-00001.parquet has sha256" in error_of(run("verify", tmp_path / "out"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "edits.toml: "),
        ('name = "small"\n[source]\nkind = "jsonll"', "edits.toml: source.kind: expected"),
        (
            'name = "small"\nshards = 2\n[source]\nkind = "world"',
            "edits.toml: shards: no such key, did you mean num_shards?",
        ),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path, text, message):
    (tmp_path / "edits.toml").write_text(text)
    result = run("build", tmp_path / "edits.toml", "--out", tmp_path / "out")
    assert message in error_of(result)
    assert not (tmp_path / "out").exists()


def test_regions_of_two_pictures_are_told_and_drawn(tmp_path):
    before = Image.new("RGB", (200, 100), "white")
    after = before.copy()
    ImageDraw.Draw(after).rectangle((50, 20, 99, 69), "red")
    before.save(tmp_path / "a.png")
    after.save(tmp_path / "b.png")
    picture = tmp_path / "regions.png"
    result = run("regions", tmp_path / "a.png", tmp_path / "b.png", "--picture", picture)
    told = json.loads(result.output)
    assert told["extent"] == "local"
    [region] = told["regions"]
    assert region["bbox_2d"] == pytest.approx([250, 200, 500, 700], abs=15)
    with Image.open(picture) as drawn:
        assert drawn.size == (2 * 800 + 8, 400)


def test_a_benchmark_is_indexed_and_then_left_out(tmp_path, config):
    source = config.read_text().partition("[source]")[2]
    (tmp_path / "benchmark.toml").write_text(f'name = "Bench"\n[source]{source}')
    result = run("index", tmp_path / "benchmark.toml", "--out", tmp_path / "bench.json")
    assert "4 items" in result.output
    text = config.read_text()
    config.write_text(f"benchmarks = [{json.dumps(str(tmp_path / 'bench.json'))}]\n{text}")
    result = run("build", config, "--out", tmp_path / "out", "--workers", 1)
    assert "overlaps with a benchmark" in error_of(result)


def test_presets_are_listed():
    shown = run("presets").output
    assert 'columns = "magicbrush"\n  osunlp/MagicBrush: Parquet' in shown
    assert shown.count("assumed, look at its first edits") == 2


def blocks_of(section):
    """Language and text of the code blocks below a heading of docs/data.md."""
    _, _, rest = DOCS.read_text().partition(f"\n## {section}\n")
    return re.findall(r"```(\w*)[^\n]*\n(.*?)```", rest.partition("\n## ")[0], re.DOTALL)


def test_the_first_build_of_the_docs_works_as_printed(tmp_path, monkeypatch):
    (_, rows), (_, settings), (_, command) = blocks_of("A first build")
    monkeypatch.chdir(tmp_path)
    write_edits(Path("made"), 3)
    Path("hats").mkdir()
    Path("hats/edits.jsonl").write_text(rows)
    Path("hats.toml").write_text(settings)
    for number, row in enumerate(map(json.loads, rows.splitlines())):
        for key, which in (("before", "source"), ("after", "edited")):
            Path("hats", row[key]).write_bytes(Path(f"made/{number}-{which}.png").read_bytes())
    program, data, *arguments = command.split()
    assert (program, data) == ("spatialreward", "data")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    card = Path("data/hats/README.md").read_text()
    assert "| edits | 3 | 100.0% |" in card
    assert "| CC0 | 2 | 66.7% |" in card
    assert "| CC BY 4.0 | 1 | 33.3% |" in card
    assert Path("data/hats/card/samples.png").is_file()
    assert [path.read_text() for path in Path("data/hats").glob("*.rejects.jsonl")] == [""]


@pytest.mark.parametrize("command", ["build", "presets", "verify", "index", "regions"])
def test_every_command_says_what_it_does_with_an_example(command):
    shown = run(command, "--help").output
    assert "Example: " in shown
    assert not re.search(r"\bas , ", shown), "no words were taken for markup"


def test_more_shards_than_rows_are_an_error_that_names_both(tmp_path, config):
    config.write_text(config.read_text().replace("num_shards = 2", "num_shards = 7"))
    result = run("build", config, "--out", tmp_path / "out")
    assert "num_shards = 7, but the source has 4 rows" in error_of(result)
    assert not (tmp_path / "out").exists()


def test_where_nothing_can_be_written_is_said_before_anything_is_done(tmp_path, config):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    pair = (tmp_path / "a.png", tmp_path / "a.png")
    for picture, complaint in (
        (tmp_path / "a.txt", "--picture .*a.txt: expected a name that ends in .png"),
        (tmp_path / "no" / "a.png", "--picture .*a.png: there is no directory .*no"),
        (tmp_path / "a.png", "--picture .*a.png: would replace a picture"),
    ):
        result = run("regions", *pair, "--picture", picture)
        assert re.search(complaint, error_of(result))
        assert result.stdout == ""
    assert "file: no packed data set here" in error_of(run("verify", tmp_path / "file"))
    assert "file: " in error_of(run("build", config, "--out", tmp_path / "file"))
    (tmp_path / "index.toml").write_text(config.read_text().replace("num_shards = 2\n", ""))
    index = run("index", tmp_path / "index.toml", "--out", tmp_path / "file" / "index.json")
    assert "index.json: there is no directory" in error_of(index)
