import pytest
from PIL import Image

from spatialreward.errors import Failure
from spatialreward.records import EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.visuals import SheetRow, sample_sheet

JUDGED = Judgement(
    status=JudgementStatus.OK,
    regions=(EditRegion(id=0, label="a red circle", bbox_2d=(100, 100, 500, 500)),),
    scores=Scores(editing_success=25, over_editing=20, naturalness=10, artifact_freedom=0),
    reward=0.7,
)
FAILED = Judgement.failed("answer is not JSON " * 30, Failure.NOT_JSON)
SOURCE, EDITED = Image.new("RGB", (64, 64), "teal"), Image.new("RGB", (300, 900), "purple")


def test_a_sheet_grows_by_its_rows_and_keeps_its_width():
    row = SheetRow(SOURCE, EDITED, "make it purple", JUDGED)
    one, three = sample_sheet([row]), sample_sheet([row] * 3)
    two = sample_sheet([row] * 2)
    assert one.width == three.width
    assert three.height - two.height == two.height - one.height > 200


def test_pictures_stand_in_their_columns():
    sheet = sample_sheet([SheetRow(SOURCE, EDITED, "make it purple", JUDGED)])
    middle = sheet.height - 120
    assert sheet.getpixel((124, middle)) == (0, 128, 128)
    assert sheet.getpixel((360, middle)) == (128, 0, 128)


def test_failed_true_and_wordy_rows_share_a_sheet():
    rows = [
        SheetRow(SOURCE, EDITED, "make it purple", JUDGED, truth=JUDGED),
        SheetRow(SOURCE, EDITED, "x" * 2000, FAILED, truth=JUDGED),
        SheetRow(SOURCE, SOURCE, "nothing\nat all", FAILED, truth=FAILED),
    ]
    assert sample_sheet(rows).height > 700


def test_a_sheet_without_rows_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        sample_sheet([])
