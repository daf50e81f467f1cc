import subprocess
import sys

import pytest
from pydantic import ValidationError

from spatialreward.data.teacher.config import TeacherConfig

BASICS = {"base_url": "http://localhost:8000/v1", "model": "qwen"}


def test_two_settings_are_enough():
    config = TeacherConfig(**BASICS)
    assert (config.concurrency, config.verify, config.budget.tokens) == (8, True, None)


WRONG = {
    "no scheme": ({"base_url": "localhost:8000"}, "expected an address such as"),
    "a key in the address": ({"base_url": "http://me:sk-1@host/v1"}, "keys belong in the env"),
    "a key behind the address": ({"base_url": "http://host/v1?key=1"}, "keys belong in the env"),
    "a key for its variable": ({"api_key_variable": "sk-12-34"}, "api_key_variable"),
    "no such setting": ({"api_key": "sk-1"}, "api_key"),
    "money without prices": ({"budget": {"money": 5}}, "there are no prices"),
    "no concurrency": ({"concurrency": 0}, "concurrency"),
    "endless timeout": ({"timeout_s": float("inf")}, "timeout_s"),
    "a field of ours as extra": ({"extra": {"model": "x"}}, "model: set by other settings"),
    "streaming": ({"extra": {"stream": True}}, "stream: set by other settings"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named(change, message):
    with pytest.raises(ValidationError, match=message):
        TeacherConfig(**(BASICS | change))


def test_what_an_answer_costs():
    prices = {"input_per_million": 2.5, "output_per_million": 10}
    assert TeacherConfig(**BASICS, prices=prices).cost(1000, 200) == pytest.approx(0.0045)
    assert TeacherConfig(**BASICS).cost(1000, 200) == 0.0


def test_settings_need_nothing_heavy():
    script = (
        "import sys, spatialreward.data.teacher.config; "
        "print([name for name in ('openai', 'PIL', 'torch', 'numpy') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"
