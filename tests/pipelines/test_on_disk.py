import pytest

from pipelines.on_disk import figures_on_disk
from spatialreward.cli.edits import EditRequest
from spatialreward.errors import Failure
from spatialreward.images import encode_png
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores

WHOLE = (0, 0, 1000, 1000)


@pytest.fixture
def request_of(tmp_path, known_samples):
    for name, picture in zip(("source", "edited"), known_samples[0].images(), strict=True):
        (tmp_path / f"{name}.png").write_bytes(encode_png(picture))

    def make(regions, source="source.png"):
        return EditRequest(
            id="one",
            source=tmp_path / source,
            edited=tmp_path / "edited.png",
            instruction="add it",
            regions=regions,
        )

    return make


def judged(*boxes):
    return Judgement(
        status=JudgementStatus.OK,
        regions=tuple(EditRegion(id=n, label="", bbox_2d=box) for n, box in enumerate(boxes)),
        scores=Scores(editing_success=25, over_editing=25),
        reward=1.0,
    )


def values(pairs):
    return {figure.name: figure.value for figure in figures_on_disk(pairs)}


def test_a_failed_judgement_counts_as_no_overlap_with_known_regions(request_of):
    half = (0, 0, 500, 1000)
    pairs = [
        (request_of((WHOLE,)), judged(half)),
        (request_of((WHOLE,)), Judgement.failed("no JSON", Failure.NOT_JSON)),
    ]
    assert values(pairs) == {"on_disk/unparsable_share": 0.5, "on_disk/mean_iou": 0.25}


def test_regions_are_measured_only_where_they_are_known(request_of):
    assert values([(request_of(None), judged(WHOLE))]) == {"on_disk/unparsable_share": 0.0}
    measured = figures_on_disk([(request_of(()), judged()), (request_of(None), judged(WHOLE))])
    assert measured[1].value == 1.0
    assert 0 <= measured[1].baseline <= 1


def test_pictures_that_cannot_be_read_are_failures_only(request_of):
    pairs = [
        (
            request_of((WHOLE,), source="nowhere.png"),
            Judgement.failed("no such file", Failure.BAD_INPUT),
        )
    ]
    assert values(pairs) == {"on_disk/unparsable_share": 1.0}


def test_a_judge_that_predicts_no_regions_has_no_mean_iou(request_of):
    scores = judged().model_copy(update={"answer": AnswerForm.SCORES})
    assert values([(request_of((WHOLE,)), scores)]) == {"on_disk/unparsable_share": 0.0}
