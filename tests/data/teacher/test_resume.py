"""A run goes on where it was: after a kill, after its budget, with other settings."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from spatialreward.data.edits import Rejected
from spatialreward.data.teacher.faults import BudgetSpent, OutOfTime
from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.data.teacher.usage import TeacherUsage
from tests.data.teacher.conftest import rows_of
from tests.data.teacher.edits_to_annotate import edit, edits
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import Reaction, annotation, fails, in_turn, says, well

ROOT = Path(__file__).parents[3]


def total_of(run):
    """The results of a run and all that it took."""
    usages = []
    results = list(run(lambda _, usage: usages.append(usage)))
    return results, sum(usages, TeacherUsage())


def test_a_second_run_asks_nothing_and_gives_the_same(server, config, ledger):
    verifying = changed(
        config, verify=True, prices={"input_per_million": 1, "output_per_million": 1}
    )
    first, paid = total_of(
        lambda measure: annotate_all(edits(3), verifying, ledger, measure=measure)
    )
    asked = len(server.asked)
    second, again = total_of(
        lambda measure: annotate_all(edits(3), verifying, ledger, measure=measure)
    )
    assert second == first
    assert len(server.asked) == asked == 6
    assert (again.calls, again.from_ledger, again.answers) == (0, 6, 6)
    assert (again.prompt_tokens, again.cost) == (paid.prompt_tokens, paid.cost)
    assert (paid.paid_before, again.paid_before) == (0.0, again.cost)


def test_an_unusable_answer_is_not_paid_again_either(server, config, ledger):
    server.plan = lambda asked: says("hm")
    first = list(annotate_all([edit()], config, ledger))
    assert list(annotate_all([edit()], config, ledger)) == first
    assert len(server.asked) == 2
    server.plan = well
    [result] = annotate_all([edit()], changed(config, max_answers=3), ledger)
    assert result.label is not None
    assert len(server.asked) == 3


def test_a_fault_of_the_server_is_asked_again_in_the_next_run(server, config, ledger):
    server.plan = lambda asked: fails(500)
    [result] = annotate_all([edit()], config, ledger)
    assert isinstance(result, Rejected)
    server.plan = well
    [result] = annotate_all([edit()], config, ledger)
    assert result.label is not None


def test_answers_that_came_after_a_fallback_are_found_again(server, config, ledger):
    server.plan = lambda asked: well(asked) if asked.way == "none" else fails(400)
    first = list(annotate_all([edit()], config, ledger))
    asked = len(server.asked)
    assert list(annotate_all([edit()], config, ledger)) == first
    assert len(server.asked) == asked


CHANGES = {
    "model": {"model": "another"},
    "temperature": {"temperature": 0.5},
    "length": {"max_tokens": 100},
    "pictures": {"pictures": {"jpeg_quality": 80}},
    "language": {"language": "de"},
    "extra": {"extra": {"seed": 7}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_question_is_sent(server, config, ledger, change):
    list(annotate_all([edit()], config, ledger))
    list(annotate_all([edit()], changed(config, **change), ledger))
    assert len(server.asked) == 2


SAME = {
    "limits": {"concurrency": 1, "requests_per_minute": 100, "timeout_s": 5},
    "patience": {"max_attempts": 9, "max_answers": 5},
    "prices": {"prices": {"input_per_million": 1, "output_per_million": 1}},
    "key": {"api_key_variable": "PATH"},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_settings_that_change_no_question_cost_nothing(server, config, ledger, change):
    first = list(annotate_all([edit()], config, ledger))
    assert list(annotate_all([edit()], changed(config, **change), ledger)) == first
    assert len(server.asked) == 1


def test_a_run_stops_when_its_budget_is_spent_and_goes_on_with_more(server, config, ledger):
    # 1,200 tokens an answer: the fifth one reaches 6,000.
    tight = changed(config, concurrency=1, budget={"tokens": 6000})
    done = []
    with pytest.raises(BudgetSpent, match=r"6,000 of 6,000 tokens\); [78] edits left") as caught:
        done.extend(edit.id for edit in annotate_all(edits(12), tight, ledger, total=12))
    # Two edits are begun at a time: the sixth may have asked before the fifth.
    assert done in ([f"edit-{number}" for number in range(count)] for count in (4, 5))
    assert caught.value.left == 12 - len(done)
    assert caught.value.usage.answers == len(done)
    assert len(server.asked) == 5

    enough = changed(tight, budget={"tokens": 1_000_000})
    assert all(one.label for one in annotate_all(edits(12), enough, ledger))
    assert len(server.asked) == 12


def test_money_is_a_budget_too_and_failed_answers_count(server, config, ledger):
    server.plan = lambda asked: says("hm")
    # 1,000 x 2 + 200 x 10 = 4,000 millionths an answer.
    priced = changed(
        config,
        concurrency=1,
        max_answers=1,
        prices={"input_per_million": 2, "output_per_million": 10},
        budget={"money": 0.008},
    )
    results = annotate_all(iter(edits(4)), priced, ledger)
    assert [next(results).reason for _ in range(2)] == ["teacher: not JSON"] * 2
    with pytest.raises(BudgetSpent, match=r"0\.0080 of 0\.0080\); 2 edits left"):
        next(results)


def test_a_spent_budget_does_not_keep_what_is_paid_for(server, config, ledger):
    list(annotate_all(edits(3), config, ledger))
    poor = changed(config, budget={"tokens": 1})
    assert len(list(annotate_all(edits(3), poor, ledger))) == 3
    assert len(server.asked) == 3


def test_answers_under_way_when_the_budget_is_spent_arrive_in_the_ledger(server, config, ledger):
    all_asked = threading.Event()
    lasting = threading.Event()

    def plan(asked):
        if len(server.asked) == 4:
            all_asked.set()
        number = int(asked.instruction.rpartition(" ")[2])
        # The last three stay away until the first one has been read.
        return Reaction(well(asked).body, released_by=lasting if number else all_asked)

    def first_four_first():
        nine = iter(edits(9))
        yield from itertools.islice(nine, 4)
        # Edits that are begun together take their turn in any order.
        assert all_asked.wait(60)
        yield from nine

    server.plan = plan
    tight = changed(config, budget={"tokens": 1200})
    results = annotate_all(first_four_first(), tight, ledger, total=9)
    assert next(results).label is not None
    lasting.set()
    assert [next(results).id for _ in range(3)] == ["edit-1", "edit-2", "edit-3"]
    with pytest.raises(BudgetSpent, match="5 edits left"):
        next(results)
    assert len(rows_of(ledger)) == len(server.asked) == 4


def test_a_run_ends_when_its_time_is_over(server, config, ledger):
    never = threading.Event()
    server.plan = lambda asked: Reaction(
        well(asked).body, released_by=None if asked.instruction.endswith("0") else never
    )
    short = changed(config, deadline_s=1.5)
    results = annotate_all(edits(5), short, ledger)
    assert next(results).label is not None
    start = time.monotonic()
    with pytest.raises(OutOfTime, match=r"taken 1.5 s; 4 edits left"):
        next(results)
    assert time.monotonic() - start < 10


def test_a_killed_run_is_resumed_without_paying_twice(server, config, ledger):
    count, before_the_kill = 12, 15
    reached = threading.Event()

    def plan(asked):
        if len(server.asked) >= before_the_kill:
            reached.set()
            return Reaction(well(asked).body, released_by=server.closing)
        return well(asked)

    server.plan = plan
    verifying = changed(config, verify=True)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.data.teacher.killed_run",
            verifying.model_dump_json(),
            str(ledger),
            str(count),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert reached.wait(240), "the run never got as far"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with server.lock:
        asked_before = len(server.asked)
    kept = rows_of(ledger)
    # What was under way at the kill is lost, and nothing else.
    assert len(kept) >= asked_before - config.concurrency
    assert kept

    server.plan = well
    results = list(annotate_all(edits(count), verifying, ledger))
    assert [one.verified for one in results] == [True] * count
    requests = Counter(json.dumps(asked.body, sort_keys=True) for asked in server.asked)
    assert len(requests) == 2 * count
    assert len(server.asked) - asked_before == 2 * count - len(kept)

    once_more = list(annotate_all(edits(count), verifying, ledger))
    assert once_more == results
    assert len(server.asked) - asked_before == 2 * count - len(kept)


def test_the_ledger_keeps_what_the_model_said_word_for_word(server, config, ledger):
    server.plan = in_turn(says("hm", finish="stop"))
    list(annotate_all([edit()], config, ledger))
    rows = rows_of(ledger)
    assert [json.loads(row["reply"])["text"] for row in rows] == [
        "hm",
        json.dumps(annotation(server.asked[1])),
    ]
    assert [row["edit"] for row in rows] == ["edit-0", "edit-0"]
