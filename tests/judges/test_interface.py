import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import check_edits

PICTURE = Image.new("RGB", (4, 4))
FIELDS = {"source": PICTURE, "edited": PICTURE, "instruction": "add a dog"}


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (Edit(**FIELDS), r"edits: expected a list of Edit, got Edit"),
        (5, r"edits: expected a list of Edit, got int"),
        ([Edit(**FIELDS), FIELDS], r"edits\[1\]: expected Edit, got dict"),
        ("add", r"edits\[0\]: expected Edit, got str"),
    ],
)
def test_what_is_no_list_of_edits_is_refused_by_position_and_type(edits, message):
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        check_edits(edits)


def test_edits_may_come_from_a_generator():
    edit = Edit(**FIELDS)
    assert check_edits(edit for _ in range(3)) == [edit] * 3
