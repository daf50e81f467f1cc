import io
import json

import pytest
import torch
from PIL import Image

from spatialreward.benchmarks.editors import drawing
from spatialreward.benchmarks.editors.config import DrawingSettings
from spatialreward.benchmarks.editors.drawing import draw_pictures
from spatialreward.benchmarks.editors.gedit import GeditBench
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.errors import InvalidInputError
from spatialreward.world.random_omnigen2 import write_omnigen2
from spatialreward.world.tiny_editor import TinyEditor
from tests.benchmarks.editors.folders import request, write_gedit

SETTINGS = DrawingSettings(num_denoising_steps=2, seed=5)


@pytest.fixture
def bench(tmp_path):
    return GeditBench.read(write_gedit(tmp_path / "bench", request("a"), request("b", "ps_human")))


@pytest.fixture
def draw(bench, editor_folder, tmp_path):
    def draw(folder="drawn", settings=SETTINGS, weights="w", benchmark=bench):
        pictures = EditedPictures(benchmark, tmp_path / folder)
        return draw_pictures(editor_folder, pictures, weights, settings), pictures

    return draw


def bytes_of(pictures):
    return [pictures.of(task).read() for task in pictures.benchmark.published.tasks]


def test_edits_lie_where_public_scripts_look_for_them(draw, bench, tmp_path):
    drawn, _ = draw()
    assert drawn.refused == {}
    for task in bench.published.tasks:
        with Image.open(tmp_path / "drawn" / "fullset" / f"{task.id}.png") as edited:
            assert (edited.mode, edited.size) == ("RGB", (64, 64))
        with Image.open(tmp_path / "drawn" / "fullset" / f"{task.id}_SRCIMG.png") as source:
            assert source.size == (8, 8)
    record = json.loads((tmp_path / "drawn" / "run.json").read_text())
    assert record["sampling"]["seed"] == 5
    assert [row.task for row in drawn.rows] == ["color_alter/en/a", "ps_human/en/b"]
    assert {row.times for row in drawn.rows} == {(0.0, 0.5, 1.0)}
    assert all(row.seconds > 0 and row.device == "cpu" for row in drawn.rows)


def test_a_published_editor_tells_its_guidance_with_each_picture(tmp_path):
    write_omnigen2(tmp_path / "omnigen2")
    source = io.BytesIO()
    Image.new("RGB", (32, 32)).save(source, format="PNG")
    row = request("a", source=source.getvalue())
    bench = GeditBench.read(write_gedit(tmp_path / "bench", row))
    pictures = EditedPictures(bench, tmp_path / "drawn")
    [row] = draw_pictures(tmp_path / "omnigen2", pictures, "w", SETTINGS).rows
    assert (row.editor["text_guidance"], row.editor["image_guidance"]) == (4.0, 2.0)


def test_a_task_has_noise_of_its_own_whatever_else_is_drawn(draw, tmp_path):
    _, first = draw()
    first.of(first.benchmark.published.tasks[1]).path.unlink()
    drawn = bytes_of(draw("again")[1])
    assert bytes_of(draw()[1]) == drawn
    assert drawn[0] != drawn[1]
    other = SETTINGS.model_copy(update={"seed": 6})
    assert bytes_of(draw("seed", settings=other)[1]) != drawn


def test_a_finished_folder_loads_no_editor(draw, monkeypatch):
    before, _ = draw()
    monkeypatch.setattr(drawing, "open_editor", None)
    assert draw()[0] == before


def test_a_folder_is_of_one_editor_benchmark_and_setting(draw, tmp_path):
    draw()
    with pytest.raises(InvalidInputError, match=r"run\.json: weights: the run here began with w"):
        draw(weights="x")
    more = SETTINGS.num_denoising_steps + 1
    told = rf"sampling\.num_denoising_steps: the run here began with {more - 1}, .* has {more};"
    with pytest.raises(InvalidInputError, match=told):
        draw(settings=SETTINGS.model_copy(update={"num_denoising_steps": more}))
    other = GeditBench.read(write_gedit(tmp_path / "other", request("a")))
    with pytest.raises(InvalidInputError, match="digest: the run here began with"):
        draw(benchmark=other)


def test_a_task_that_an_editor_cannot_do_is_named_and_the_rest_goes_on(draw, bench, monkeypatch):
    encode = TinyEditor.encode

    def fails(self, tasks):
        if tasks[0].operation == "ps_human":
            raise InvalidInputError("too small for this editor")
        return encode(self, tasks)

    monkeypatch.setattr(TinyEditor, "encode", fails)
    drawn, pictures = draw()
    assert drawn.refused == {"ps_human/en/b": "too small for this editor"}
    assert [pictures.of(task).path.is_file() for task in bench.published.tasks] == [True, False]
    monkeypatch.setattr(TinyEditor, "encode", encode)
    nan = torch.full((1, 1), float("nan"))
    monkeypatch.setattr(drawing, "draw_edits", lambda *given: nan)
    assert "latents are NaN or infinite" in draw("nan")[0].refused["color_alter/en/a"]
