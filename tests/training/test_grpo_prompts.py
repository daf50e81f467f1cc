import numpy as np
import pytest
import torch

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.rankings import RANKINGS
from spatialreward.data.packing.shards import ShardWriter, write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import TINY
from spatialreward.records import Streams
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.grpo_config import GrpoConfig, RankedPrompts, RewardWeights
from spatialreward.training.grpo_prompts import GrpoPrompts
from spatialreward.training.trl_processor import trl_processor
from tests.data.packing.making import ANNOTATION, make_edit, make_prompt, make_ranking

ONLY_FORM = RewardWeights(consistency=0, iou=0)


def config(batch=16, **more):
    given = {"rewards": ONLY_FORM, "num_steps": 20} | more
    return GrpoConfig(optimiser=OptimiserConfig(batch_size=batch), **given)


def ranking(number, dimension="overall"):
    return make_ranking(number, orders={dimension: (0, 1, 2)})


def packed(folder, edits, rankings=()):
    """A data set with a manifest."""
    folder.mkdir(exist_ok=True)
    shard = write_shard(folder / "edits-00000.parquet", edits)
    ranked = None
    if rankings:
        path = folder / "rankings-00000.parquet"
        with ShardWriter(path, layout=RANKINGS, rows_a_group=2) as writer:
            for one in rankings:
                writer.write(one)
        ranked = writer.shard
    report = ShardReport(shard=shard, rankings=ranked, counts={}, left_out={})
    write_manifest(gather([report], {}), folder)
    return Dataset(folder)


@pytest.fixture(scope="module")
def processor(untrained):
    return untrained[1].following(TINY)


@pytest.fixture
def asked(processor):
    def ask(data, **more):
        return GrpoPrompts(data, config(**more), TINY, processor)

    return ask


def test_a_judge_is_asked_in_training_what_it_is_asked_in_service(tmp_path, processor, asked):
    edits = [make_edit(1), make_edit(2, instruction="make it a great deal larger than it is")]
    prompts = asked(packed(tmp_path, edits), batch=16, num_steps=2)
    some = [prompts[number] for number in range(len(prompts))]
    assert {one.known.stream for one in some} == {Streams.SEMANTIC, Streams.PERCEPTUAL}
    inner = trl_processor(processor)
    found = [
        [{**one.message, "content": _shown(one.message["content"], one.pictures)}] for one in some
    ]
    texts = [
        inner.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in found
    ]
    given = inner(
        images=[one.pictures for one in some], text=texts, padding=True, return_tensors="pt"
    )
    served = processor.encode([_question(one) for one in some])
    for name in ("input_ids", "attention_mask", "pixel_values", "image_grid_thw"):
        assert torch.equal(given[name], served[name]), name
    is_picture = given["input_ids"] == processor.image_token
    assert torch.equal(given["mm_token_type_ids"].bool(), is_picture)
    assert len({int(row.sum()) for row in is_picture}) == 2


def _shown(content, pictures):
    left = iter(pictures)
    return [
        {"type": "image", "image": next(left)} if part["type"] == "image" else part
        for part in content
    ]


def _question(one):
    left = iter(one.pictures)
    return Question(
        tuple(
            next(left) if part["type"] == "image" else part["text"]
            for part in one.message["content"]
        )
    )


def test_the_seed_decides_the_order_and_streams_have_their_share(tmp_path, asked):
    data = packed(tmp_path, [make_edit(number) for number in range(6)])

    def order(**more):
        prompts = asked(data, num_steps=50, perceptual_share=0.25, **more)
        return [(prompts[n].id, prompts[n].known.stream) for n in range(len(prompts))]

    first = order()
    assert first == order() != order(seed=3)
    assert len(first) == 50 * 4
    share = np.mean([stream is Streams.PERCEPTUAL for _, stream in first])
    assert 0.15 < share < 0.35


def test_what_is_known_of_an_edit_goes_with_its_prompt(tmp_path, asked):
    labelled, bare = make_edit(1, label=ANNOTATION), make_edit(2, label=None)
    prompts = asked(packed(tmp_path, [labelled, bare]), perceptual_share=0)
    known = {prompts[n].id: prompts[n].known for n in range(len(prompts))}
    scores = ANNOTATION.scores
    assert known[labelled.id].scores == (scores.editing_success, scores.over_editing)
    assert known[labelled.id].regions == ANNOTATION.regions
    assert known[bare.id].scores is None
    assert known[bare.id].regions == bare.prior.regions


def test_candidates_of_a_ranking_come_in_the_same_step(tmp_path, asked):
    rankings = [ranking(number) for number in range(1, 6)]
    data = packed(tmp_path, [make_edit(1)], rankings)
    ranked = RankedPrompts(share=0.5)
    prompts = asked(data, rankings=ranked, rewards=RewardWeights(consistency=0, order=1))
    seen = []
    for step in range(20):
        places = [prompts[number].known.place for number in range(4 * step, 4 * step + 4)]
        of_step = [place for place in places if place is not None]
        assert sorted(place.candidate for place in of_step) in ([], [0, 1, 2])
        assert len({place.ranking for place in of_step}) <= 1
        seen += [place.ranking for place in of_step]
    assert len(seen) / (20 * 4) == pytest.approx(0.5, abs=0.1)
    assert set(seen) == {one.id for one in rankings}


def test_a_reward_without_what_it_is_made_of_is_refused(tmp_path, asked):
    alone = {"label": None, "prior": None, "sources": (), "instruction": ""}
    bare = packed(tmp_path / "bare", [make_edit(1, fingerprints=("f" * 16,), **alone)])
    with pytest.raises(InvalidInputError, match=r"rewards\.agreement is above 0, but no edit has"):
        asked(bare, perceptual_share=1, rewards=RewardWeights(consistency=0, iou=0, agreement=1))
    with pytest.raises(InvalidInputError, match=r"rewards\.iou is above 0, but no edit has"):
        asked(bare, perceptual_share=1, rewards=RewardWeights(consistency=0))
    with pytest.raises(InvalidInputError, match="no edit can be asked about in the stream sc"):
        asked(bare)
    prompts = packed(tmp_path / "prompts", [make_prompt(1)])
    with pytest.raises(InvalidInputError, match="no edit can be asked about in the stream"):
        asked(prompts)


def test_rankings_that_cannot_be_used_are_refused(tmp_path, asked):
    ordering = {"rewards": RewardWeights(consistency=0, order=1)}
    none = packed(tmp_path / "none", [make_edit(1)])
    with pytest.raises(InvalidInputError, match="has no rankings"):
        asked(none, rankings=RankedPrompts(), **ordering)
    some = packed(tmp_path / "some", [make_edit(1)], [ranking(1, "quality")])
    with pytest.raises(InvalidInputError, match=r"order in rankings\.dimension 'overall'.*quality"):
        asked(some, rankings=RankedPrompts(), **ordering)
    with pytest.raises(InvalidInputError, match="smallest ranking has 3 edits, and a step has 2"):
        asked(some, batch=8, rankings=RankedPrompts(dimension="quality"), **ordering)
