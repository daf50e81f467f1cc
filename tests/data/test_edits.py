import pytest
from pydantic import ValidationError

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.errors import Failure
from spatialreward.records import Judgement, Scores
from tests.data.packing.making import ANNOTATION, PRIOR, label_of, make_edit

FAILED = Judgement.failed("no answer", Failure.NO_ANSWER)
PERCEPTUAL = label_of(Scores(naturalness=8, artifact_freedom=21))


def test_a_source_need_not_have_looked_at_the_pictures():
    edit = LabelledEdit(
        id="one",
        instruction="add a hat",
        sources=(b"no picture",),
        edited=b"nor this",
        origin=RowOrigin(file="edits.jsonl", row="1"),
    )
    assert (edit.prior, edit.fingerprints, edit.label, edit.verified) == (None, (), None, None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sources": (), "edited": None}, "expected a source or an edited picture, got neither"),
        ({"edited": None}, "a prior needs a source and an edited picture"),
        ({"sources": ()}, "a prior needs a source and an edited picture"),
        ({"edited": None, "prior": None}, "labelled, but there is no edited picture"),
        ({"sources": (), "prior": None}, "has SC scores, but no source picture"),
        ({"label": FAILED}, "label: expected a judgement that did not fail"),
        ({"label": None, "verified": True}, "verified: there is no label"),
    ],
)
def test_what_cannot_be_of_one_edit_is_refused_by_its_id(changes, problem):
    with pytest.raises(ValidationError, match=f"edit edit-7: {problem}"):
        make_edit(7, **changes)


@pytest.mark.parametrize("label", [ANNOTATION, PERCEPTUAL])
def test_a_label_may_be_of_one_stream(label):
    assert make_edit(1, label=label).label.reward == label.reward
    alone = {"sources": (), "prior": None, "label": PERCEPTUAL}
    assert make_edit(1, **alone).label.scores == PERCEPTUAL.scores


def test_a_prior_is_of_two_pictures():
    assert make_edit(1).prior == PRIOR
    assert make_edit(1, prior=None).prior is None
