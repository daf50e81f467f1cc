"""The names that ``spatialreward`` itself offers, and what they cost."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spatialreward
from spatialreward import Edit, JudgementStatus, load_judge
from spatialreward.images import encode_png


def imported_for_types():
    """The names that type checkers see, which do not run ``__getattr__``."""
    module = ast.parse(Path(spatialreward.__file__).read_text())
    (block,) = (node for node in module.body if isinstance(node, ast.If))
    return {alias.name: statement.module for statement in block.body for alias in statement.names}


def test_every_public_name_is_there_for_programs_and_for_type_checkers():
    assert sorted(imported_for_types()) == spatialreward.__all__
    for name, home in imported_for_types().items():
        assert getattr(spatialreward, name) is getattr(sys.modules[home], name)
        assert name in dir(spatialreward)


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'Judge'"):
        spatialreward.Judge  # noqa: B018 - looking it up is the test


@pytest.mark.parametrize(
    ("program", "not_imported"),
    [
        ("import spatialreward", {"numpy", "PIL", "pydantic", "torch"}),
        (
            "from spatialreward import Edit, ServerBusy, load_judge",
            {"torch", "transformers", "tritonclient", "mlflow", "scipy", "matplotlib"},
        ),
        ("from spatialreward import TritonJudge, draw_overlay", {"torch", "transformers"}),
    ],
)
def test_only_what_is_used_is_imported(program, not_imported):
    program = f"{program}\nimport sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not not_imported & set(ran.stdout.split())


def test_pictures_in_every_form_get_the_same_judgement(judge_folder, known_edits, tmp_path):
    known = known_edits[0]
    with load_judge(judge_folder) as judge:
        (expected,) = judge.judge([known])
        assert expected.status is JudgementStatus.OK
        paths = tmp_path / "source.png", tmp_path / "edited.png"
        pictures = known.source, known.edited
        for path, picture in zip(paths, pictures, strict=True):
            path.write_bytes(encode_png(picture))
        forms = [
            paths,
            tuple(map(str, paths)),
            tuple(path.read_bytes() for path in paths),
            tuple(map(np.asarray, pictures)),
            tuple(picture.convert("RGBA") for picture in pictures),
        ]
        for source, edited in forms:
            edit = Edit(source=source, edited=edited, instruction=known.instruction)
            (judgement,) = judge.judge([edit])
            assert judgement == expected
