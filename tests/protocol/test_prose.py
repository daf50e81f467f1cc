import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.protocol.prose import without_marks

LABELS = {0: "red hat", 1: "", 7: "<|bbox_7|>"}


@pytest.mark.parametrize(
    ("marked", "prose"),
    [
        ("no mark at all ", "no mark at all "),
        ("", ""),
        ("<|global|>", ""),
        # What the generated world says.
        (
            "asked 2 2 hat. <|bbox_0|> 2 2 was hat, as asked. <|global|> 1 of 1 done",
            "asked 2 2 hat. 2 2 was hat, as asked. 1 of 1 done",
        ),
        # What a teacher says.
        (
            "<|bbox_0|> A hat is there now. <|bbox_1|> The sky is new.<|global|>All is done.",
            "A hat is there now. The sky is new. All is done.",
        ),
        ("<|bbox_0|>: A hat.\n<|global|>: Done.", "A hat.\nDone."),
        ("He said “done.” <|bbox_0|> A hat.", "He said “done.” A hat."),
        ("帽子是红色的。<|bbox_0|>天空没变。", "帽子是红色的。天空没变。"),
        # A noun in a sentence.
        ("In <|bbox_0|>, it is red.", "In red hat, it is red."),
        ("Look at<|bbox_0|>and <|bbox_1|>.", "Look at red hat and the region."),
        ("Two changed: <|bbox_0|> and <|bbox_1|>", "Two changed: and the region"),
        # A verdict that the sentence before runs into.
        ("The hat is red <|global|> All done.", "The hat is red. All done."),
        # A region that is not there, and marks that others were made of.
        ("See <|bbox_9|> there.", "See the region there."),
        ("A. <|bbox_<|bbox_0|>0|> B.", "A. <|bbox_ red hat 0|> B."),
        ("See <|bbox_7|> there.", "See there."),
    ],
)
def test_a_reasoning_without_marks_is_prose(marked, prose):
    assert without_marks(marked, LABELS) == prose


@given(
    st.lists(
        st.sampled_from(["<|bbox_0|>", "<|bbox_7|>", "<|global|>", "<|bbox_", "0|>", ".", " ", "a"])
    ).map("".join)
)
def test_no_mark_is_left(marked):
    prose = without_marks(marked, LABELS)
    assert "<|global|>" not in prose
    assert "<|bbox_0|>" not in prose
    assert without_marks(prose, LABELS) == prose
