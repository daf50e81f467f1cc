"""The re-created reference judges with the same engine, so it gives the same rewards."""

import pickle

import pytest
import requests

from serving.bench.reference import ask_reference, running_reference
from spatialreward.judges.engines.engine import Judge


@pytest.fixture(scope="module")
def url(judge_folder, tmp_path_factory):
    with running_reference(judge_folder, tmp_path_factory.mktemp("log") / "log") as url:
        yield url


def test_it_answers_a_pickled_group_with_the_engine_s_rewards(url, judge_folder, known_edits):
    ask_reference(url, known_edits)
    payload = {
        "input_images": [[edit.source] for edit in known_edits],
        "output_image": [edit.edited for edit in known_edits],
        "meta_data": [{"instruction": edit.instruction} for edit in known_edits],
    }
    answer = pickle.loads(requests.post(url, data=pickle.dumps(payload), timeout=60).content)
    here = [one.reward for one in Judge.load(judge_folder).judge(known_edits)]
    assert [one["reward"] for one in answer] == pytest.approx(here, abs=1e-4)
