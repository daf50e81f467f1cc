import json
import subprocess
import sys

import pytest
import torch

from serving.bench.large import measure_large
from spatialreward.errors import InvalidInputError

ALL_AT_ONCE = {"batches": 1, "groups_per_batch": 1}
PROGRAM = """
import json, sys
from serving.bench.large import measure_large
figures = measure_large("tiny", batches=1, groups_per_batch=1, side=32, max_answer_tokens=3)
print(json.dumps([{figure.name: [figure.value, figure.baseline] for figure in figures},
                  sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def run():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_figures_stand_beside_those_without_shared_prefixes(run):
    figures, _ = run
    tokens, tokens_in_full = figures["gpu/prompt_tokens_per_judgement"]
    assert tokens < tokens_in_full
    assert figures["gpu/judgements_per_s"][0] > 0
    assert figures["gpu/batch_p50_s"][0] == figures["gpu/batch_p95_s"][0] > 0
    assert figures["gpu/unreadable_share"] == [1.0, None]


def test_neither_the_pipeline_nor_the_server_nor_the_world_is_needed(run):
    _, modules = run
    loaded = {module.partition(".")[0] for module in modules}
    assert not loaded & {"kfp", "mlflow", "tritonclient", "pyarrow", "typer", "rich"}
    assert not [module for module in modules if module.startswith("spatialreward.data")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_large_judge_needs_a_gpu():
    with pytest.raises(InvalidInputError, match="2b needs a GPU"):
        measure_large("2b", **ALL_AT_ONCE, side=64)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InvalidInputError, match="expected 2b, 4b or tiny, got '8b'"):
        measure_large("8b", **ALL_AT_ONCE, side=64)
    with pytest.raises(InvalidInputError, match="multiple of 16 pixels, got 40"):
        measure_large("tiny", **ALL_AT_ONCE, side=40)
    with pytest.raises(InvalidInputError, match="at least 1 batch"):
        measure_large("tiny", batches=0, groups_per_batch=1, side=64)
