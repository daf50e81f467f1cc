import json

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.rl.run_folder import RunFolder


def test_steps_that_a_killed_run_had_further_are_written_once(tmp_path):
    folder = RunFolder.checked(tmp_path)
    for step in (1, 2, 3):
        folder.metrics.report({"reward/mean": 0.1}, step)
    for step in (2, 3, 4):
        folder.metrics.report({"reward/mean": 0.2}, step)
    assert [(line["step"], line["reward/mean"]) for line in folder.metrics.lines()] == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.2),
        (4, 0.2),
    ]


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    folder = RunFolder.checked(tmp_path)
    folder.metrics.report({"a": 1.0}, 1)
    with folder.metrics.path.open("a") as file:
        file.write('{"step": 2, "a"')
    folder.metrics.report({"a": 2.0}, 2)
    assert folder.metrics.lines() == [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}]


def test_a_reward_of_no_edit_is_null(tmp_path):
    folder = RunFolder.checked(tmp_path)
    folder.metrics.report({"reward/mean": float("nan")}, 1)
    assert folder.metrics.path.read_text() == '{"step": 1, "reward/mean": null}\n'


def test_a_folder_goes_on_with_its_settings_only(tmp_path):
    settings = {"editor": "ab", "rl.num_steps": 3, "sizes": (1, 2)}
    RunFolder.checked(tmp_path / "new").hold_to(settings)
    folder = RunFolder.checked(tmp_path / "new")
    folder.hold_to(settings)
    with pytest.raises(
        InvalidInputError, match=r"new: was started with rl.num_steps 3, now it is 4"
    ):
        folder.hold_to(settings | {"rl.num_steps": 4})
    with pytest.raises(InvalidInputError, match=r"was started with data nothing, now it is 'cd'"):
        folder.hold_to(settings | {"data": "cd"})
    folder.resume_file.write_text("")
    folder.unfinished_editor.mkdir()
    folder.finish(folder.unfinished_editor)
    assert folder.is_finished
    assert not folder.resume_file.exists()


def test_damaged_settings_are_named(tmp_path):
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"settings.json: is not JSON"):
        RunFolder.checked(tmp_path).hold_to({})


def test_settings_are_there_as_a_whole_or_not_at_all(tmp_path):
    RunFolder.checked(tmp_path).hold_to({"a": 1})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
