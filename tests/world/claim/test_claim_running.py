import shutil

import pytest
from pydantic import ValidationError

from spatialreward.data.dataset import Dataset
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.world.claim.config import ClaimConfig
from spatialreward.world.claim.running import ClaimFolder
from spatialreward.world.tiny_config import DrawingConfig

DRAWN = ClaimConfig(
    drawing=DrawingConfig(num_edits=4, group_size=2), training=JudgeTrainingConfig(drawn_share=0.5)
)


def test_judges_learn_from_groups_that_the_editor_draws_where_they_are_asked_for(
    editor_folder, tmp_path
):
    shutil.copytree(editor_folder, tmp_path / "editor")
    edits = list(Dataset(ClaimFolder(tmp_path, DRAWN, None).drawn()))
    assert len(edits) == 4
    assert len({edit.instruction for edit in edits}) == 2
    assert ClaimFolder(tmp_path / "other", ClaimConfig(), None).drawn() is None


def test_a_folder_without_drawn_edits_is_begun_as_before_there_were_any(tmp_path):
    ClaimFolder(tmp_path, ClaimConfig(), None)
    assert "drawing" not in (tmp_path / "settings.json").read_text()


def test_drawn_edits_and_their_share_go_together():
    with pytest.raises(ValidationError, match="drawn_share 0"):
        ClaimConfig(drawing=DrawingConfig())
