import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.filters.verdicts import CLEANNESS, NATURALNESS, RESTRAINT, SUCCESS

PRAISE, BLAME, NEITHER = True, False, None


@pytest.mark.parametrize(
    ("text", "praises"),
    [
        ("The instruction was fully carried out.", PRAISE),
        ("The instruction to paint the car red has been followed.", PRAISE),
        ("Both hats are gone, exactly as requested.", PRAISE),
        ("The dog was successfully removed.", PRAISE),
        ("The instruction was not followed.", BLAME),
        ("The request to paint the car red wasn\u2019t carried out at all; nothing is red.", BLAME),
        ("The editor failed to remove the dog.", BLAME),
        ("It ignored the instruction.", BLAME),
        ("Nothing was changed.", BLAME),
        ("No visible change was made.", BLAME),
        ("The instruction was not fully carried out.", NEITHER),
        ("The dog was successfully removed, but a cat should be there.", NEITHER),
        ("The instruction was partly carried out.", NEITHER),
        ("Nothing was changed in the background.", NEITHER),
        ("No change was made to the face.", NEITHER),
        ("Nothing else was changed.", NEITHER),
        ("The sky was not successfully replaced.", NEITHER),
        ("The hat is red.", NEITHER),
        ("指令没有被执行。", NEITHER),
        ("", NEITHER),
    ],
)
def test_what_is_said_of_success(text, praises):
    saying = SUCCESS.read(text)
    assert (saying.praises if saying else None) is praises


@pytest.mark.parametrize(
    ("phrases", "text", "praises"),
    [
        (RESTRAINT, "Everything else is unchanged.", PRAISE),
        (RESTRAINT, "The rest of the picture was left alone.", PRAISE),
        (RESTRAINT, "There are no unrequested changes.", PRAISE),
        (RESTRAINT, "The picture is heavily over-edited.", BLAME),
        (RESTRAINT, "There are several unasked changes.", BLAME),
        (RESTRAINT, "There are no unrequested changes in the sky.", NEITHER),
        (RESTRAINT, "The background was replaced.", NEITHER),
        (NATURALNESS, "The image looks very realistic.", PRAISE),
        (NATURALNESS, "The scene looks unnatural.", BLAME),
        (NATURALNESS, "The light is natural, the face is melted.", NEITHER),
        (NATURALNESS, "The image does not look natural.", NEITHER),
        (CLEANNESS, "There are no visible artifacts.", PRAISE),
        (CLEANNESS, "The picture is free of distortions.", PRAISE),
        (CLEANNESS, "There are severe artifacts around the hat.", BLAME),
        (CLEANNESS, "The hand is badly distorted.", BLAME),
        (CLEANNESS, "There are no artifacts in the background.", NEITHER),
        (CLEANNESS, "There are no severe artifacts in sight.", NEITHER),
    ],
)
def test_what_is_said_of_the_other_scores(phrases, text, praises):
    saying = phrases.read(text)
    assert (saying.praises if saying else None) is praises


def test_the_phrase_that_decides_is_named():
    assert SUCCESS.read("Sadly the edit\n failed.").phrase == "edit failed"


@given(st.text())
def test_any_text_can_be_read(text):
    for phrases in (SUCCESS, RESTRAINT, NATURALNESS, CLEANNESS):
        assert phrases.read(text) is None or phrases.read(text).phrase
