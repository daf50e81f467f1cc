from PIL import Image

from spatialreward.edits import Edit
from spatialreward.judges.pixels import PixelDifference


def test_to_pixel_differences_an_untouched_picture_is_no_success():
    picture = Image.new("RGB", (64, 64), "red")
    (judgement,) = PixelDifference().judge([Edit(picture, picture, "make it blue")])
    assert judgement.scores.editing_success == 0.0
    assert judgement.regions == ()
