import json
from dataclasses import replace

import pytest
from PIL import Image

from spatialreward.data.edits import RowOrigin
from spatialreward.data.tasks import edit_to_judge
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.records import JudgementStatus
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_judgement

WORLD = DataConfig(seed=4)


@pytest.fixture(scope="module")
def samples():
    return [draw_sample(WORLD, "train", number) for number in range(3)]


@pytest.fixture(scope="module")
def photo_sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    Image.linear_gradient("L").convert("RGB").save(folder / "ramp.png")
    world = DataConfig(seed=4, photos=str(folder))
    drawn = (draw_sample(world, "train", number, ("ramp.png",)) for number in range(50))
    return folder, next(one for one in drawn if one.world.look.photo)


def judgement_of(sample, photos=None):
    return oracle_judgement(sample.world, sample.images()[1], photos)


def test_edits_of_a_data_set_of_the_world_are_judged_by_its_truth(samples):
    edits = [edit_to_judge(labelled_edit(one, RowOrigin(file="f", row="0"))) for one in samples]
    with load_judge("oracle") as judge:
        judgements = judge.judge(edits)
    for sample, judgement in zip(samples, judgements, strict=True):
        known = judgement_of(sample).model_copy(update={"judged_by": "oracle/1, geometric"})
        assert judgement == known


def test_what_an_editor_made_of_a_task_is_judged_by_what_it_shows(samples):
    source, edited = samples[0].images()
    edits = [Edit.of(edit_task(samples[0]), picture) for picture in (source, edited)]
    nothing_done, as_drawn = load_judge("oracle").judge(edits)
    assert (nothing_done.regions, nothing_done.scores.editing_success) == ((), 0)
    assert as_drawn.scores == judgement_of(samples[0]).scores


@pytest.mark.parametrize(
    ("truth", "problem"),
    [
        (None, "truth: missing, expected one of the generated world's"),
        ("{}", "truth: is none of the generated world's: "),
        (json.dumps({"made_by": "others"}), "truth: is none of the generated world's: "),
    ],
)
def test_an_edit_without_the_worlds_truth_fails_alone_and_says_which(samples, truth, problem):
    good = Edit.of(edit_task(samples[0]), samples[0].images()[1])
    for changed, name in (({"id": "7"}, "edit 7: "), ({"id": ""}, "edit 1: ")):
        first, other = load_judge("oracle").judge([good, replace(good, truth=truth, **changed)])
        assert first.status is JudgementStatus.OK
        assert other.failure is Failure.BAD_INPUT
        assert other.reason.startswith(name + problem)
        assert other.judged_by == "oracle/1, geometric"


def test_edits_on_photographs_need_their_folder(photo_sample, tmp_path):
    folder, sample = photo_sample
    edits = [Edit.of(edit_task(sample), sample.images()[1])]
    (judgement,) = load_judge(f"oracle:{folder}").judge(edits)
    assert judgement.scores == judgement_of(sample, folder).scores
    (judgement,) = load_judge(f"oracle:{tmp_path}").judge(edits)
    assert judgement.reason.startswith(f"edit {sample.id}: photo {tmp_path / 'ramp.png'}: No such")
    (judgement,) = load_judge("oracle").judge(edits)
    assert judgement.reason == (
        f"edit {sample.id}: photo ramp.png: the folder of photographs is not given"
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("oracle:no/such", {}, "photographs no/such: there is no such folder"),
        ("oracle", {"protocol": "tiny"}, "judge oracle: takes no protocol, got tiny"),
        ("oracle:no/such", {"adapter": "a"}, "judge oracle:no/such: takes no adapter, got a"),
        ("oracles", {}, r"expected a folder, .* pixels, oracle or oracle:PHOTOS"),
    ],
)
def test_what_is_no_oracle_is_refused(name, options, message):
    with pytest.raises(InvalidInputError, match=message):
        load_judge(name, **options)
