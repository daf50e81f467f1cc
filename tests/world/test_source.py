import json

import pytest

from spatialreward.data.sources.config import WorldSource
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.targets import answer
from tests.data.sources.small_data_sets import edits_of, everything

CONFIG = WorldSource(data=DataConfig(seed=4), count=11)


def test_an_edit_of_the_world_brings_its_truth_along():
    edits = edits_of(open_source(CONFIG))
    assert len({edit.id for edit in edits}) == 11
    sample = draw_sample(CONFIG.data, "train", 7)
    [edit] = [edit for edit in edits if edit.id == sample.id]
    assert (edit.sources, edit.edited) == ((sample.source,), sample.edited)
    assert edit.given_regions == sample.truth.regions
    assert edit.operation.split("+")[0] == sample.world.operations[0].kind
    assert edit.given == {"grade": sample.grade, **sample.truth.scores.given()}


@pytest.mark.parametrize("num_shards", [2, 5, 11, 30])
def test_parts_are_disjoint_and_together_everything(num_shards):
    source = open_source(CONFIG)
    assert everything(source, num_shards) == everything(source)


def test_a_part_that_there_is_not_is_an_error():
    with pytest.raises(InvalidInputError, match="shard 2"):
        next(open_source(CONFIG).rows(2, 2))


def test_the_truth_is_a_label_too():
    sample = draw_sample(CONFIG.data, "train", 7)
    [edit] = [edit for edit in edits_of(open_source(CONFIG)) if edit.id == sample.id]
    assert edit.label.regions == sample.truth.regions
    assert edit.label.scores == sample.truth.scores
    reasoning = [
        json.loads(answer(task, sample))["reasoning"] for task in ("semantic", "perceptual")
    ]
    assert [edit.label.sc_reasoning, edit.label.pq_reasoning] == reasoning
