import re
from pathlib import Path

import pytest

from spatialreward.records import REQUEST_TENSORS, RESPONSE_TENSORS
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.metrics import METRICS, SERIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]


def row_of(name):
    (row,) = (row for row in ROWS if row[0].split()[0] == f"`{name}`")
    return row


def shown(value):
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case _:
            return value


@pytest.mark.parametrize("tensor", [*REQUEST_TENSORS, *RESPONSE_TENSORS], ids=lambda one: one.name)
def test_each_tensor_is_described_as_it_is(tensor):
    first, datatype, shape, content = row_of(tensor.name)
    (length,) = tensor.dims
    assert first.endswith("(optional)") == tensor.optional
    assert datatype == tensor.datatype
    assert shape == f"`[B, {'S' if length == -1 else length}]`"
    assert content.startswith(tensor.meaning.partition(", one or more")[0])


@pytest.mark.parametrize("name", ServingConfig.model_fields)
def test_each_setting_stands_there_with_its_default(name):
    assert row_of(name)[1] == shown(ServingConfig.model_fields[name].default)


def test_the_limits_of_the_contract_are_the_defaults():
    limits = ServingConfig()
    assert f"the edits of the request, {limits.max_request_edits} at most" in PAGE
    assert row_of("SOURCE")[3].endswith(
        f"`S` 1 to {limits.max_sources}, the same for the whole request"
    )


def test_each_metric_stands_there_with_its_labels():
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(METRICS) <= named
    assert {value for series in SERIES.values() for value in series.labels.values()} <= named


def test_links_lead_somewhere():
    for page in ("serving.md", "judge.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "docs" / page).read_text()):
            assert (ROOT / "docs" / target).exists(), target
