import functools
import itertools

import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import TINY
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.judge import _answers, judge_batches, start_from, train_judge
from spatialreward.training.limits import AnswerLimit, count_long_answers
from spatialreward.world.shipped import SHIPPED_BASE
from tests.data.packing.making import ANNOTATION, make_alone, make_edit, make_prompt

TASKS = ("semantic", "perceptual")
ANSWERS = functools.partial(_answers, TASKS)
CONFIG = JudgeTrainingConfig(
    num_samples=8, perceptual_share=0.5, optimiser=OptimiserConfig(batch_size=4)
)


@pytest.fixture(scope="module")
def limit(untrained):
    return AnswerLimit(untrained[1].tokenizer, TINY)


def wordy(number, words):
    """An edit whose PQ answer has so many words more."""
    label = ANNOTATION.model_copy(update={"pq_reasoning": "clean " * words})
    return make_edit(number, label=label)


def packed(folder, *edits):
    folder.mkdir(exist_ok=True)
    write_shard(folder / "edits.parquet", edits)
    return Dataset(folder)


def test_the_longest_answer_that_a_judge_may_give_is_allowed(limit, untrained):
    text = '{"reasoning": "clean", "score": [3, 7]}'
    [length] = limit.lengths([text])
    assert length == len(untrained[1].tokenizer(text, add_special_tokens=False)["input_ids"])
    exact = TINY.model_copy(update={"max_answer_tokens": length})
    assert AnswerLimit(untrained[1].tokenizer, exact).allows(text)
    short = TINY.model_copy(update={"max_answer_tokens": length - 1})
    assert not AnswerLimit(untrained[1].tokenizer, short).allows(text)


def test_answers_that_are_too_long_are_counted_and_the_longest_are_named(tmp_path, limit, caplog):
    long = [wordy(number, 100 * number) for number in (4, 3, 6, 5)]
    data = packed(tmp_path, make_edit(0), make_prompt(1), make_alone(2), *long)
    assert count_long_answers(data, ANSWERS, limit) == 4
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    # Five edits with both answers, and one with the PQ answer alone.
    assert f"{tmp_path}: 4 of 11 answers are longer than max_answer_tokens = 208 of " in said
    named = said.partition("the longest: ")[2].split(", ")
    assert [one.partition(" ")[0] for one in named] == ["edit-6", "edit-5", "edit-4"]
    assert count_long_answers(data, functools.partial(_answers, TASKS[:1]), limit) == 0


def test_what_is_too_long_is_in_no_batch(tmp_path, limit):
    data = packed(tmp_path, make_edit(0), wordy(1, 400), make_edit(2))
    batches = list(itertools.islice(judge_batches(CONFIG, data, keeps=limit.allows), 20))
    assert {batch.task for batch in batches} == set(TASKS)
    texts = [example.answer for batch in batches for example in batch.examples]
    assert max(limit.lengths(texts)) <= TINY.max_answer_tokens
    assert any(
        "clean clean" in example.answer
        for batch in itertools.islice(judge_batches(CONFIG, data), 20)
        for example in batch.examples
    )


def test_a_training_whose_answers_are_all_too_long_does_not_begin(tmp_path):
    data = packed(tmp_path / "data", wordy(1, 400), wordy(2, 500))
    reported, opening = [], functools.partial(start_from, SHIPPED_BASE)
    with pytest.raises(
        InvalidInputError,
        match=r"all 2 perceptual answers are longer than max_answer_tokens = 208 of protocol tiny: "
        r"edit-2 \(\d+\), edit-1 \(\d+\); shorten the labels",
    ):
        train_judge(opening, CONFIG, data, tmp_path / "judge", lambda *told: reported.append(told))
    assert not reported
    assert not (tmp_path / "judge").exists()
