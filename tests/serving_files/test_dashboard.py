import itertools
import json
import re
from pathlib import Path

import pytest

from spatialreward.serving.metrics import METRICS, PREFIX, SERIES

DASHBOARD = json.loads(
    (Path(__file__).parents[2] / "serving" / "dashboards" / "judge.json").read_text()
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_THE_SERVER = {"model", "version"}


def queries():
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def selections():
    """Each selection of one of our metrics: its name without the prefix, and its labels' values."""
    for query in queries():
        for metric, labels in re.findall(PREFIX + r"(\w+)\{(.*?)\}", query):
            yield metric, re.findall(r'(\w+)(?:=~|!=|=)"(.*?)"', labels)


def values_of(metric, label):
    return {
        series.labels[label]
        for series in SERIES.values()
        if series.metric == metric and label in series.labels
    }


def test_queries_name_only_series_that_the_judge_has():
    for metric, labels in selections():
        assert metric in METRICS
        for label, pattern in labels:
            if label not in OF_THE_SERVER:
                assert set(pattern.split("|")) <= values_of(metric, label)


def test_every_metric_of_the_judge_is_shown():
    assert {metric for metric, _ in selections()} == set(METRICS)


def test_counters_are_shown_as_rates_and_gauges_as_they_are():
    for query in queries():
        for metric in re.findall(PREFIX + r"(\w+)\{", query):
            is_rate = f"rate({PREFIX}{metric}" in query
            assert is_rate == (METRICS[metric].kind == "counter"), query


def test_every_selection_can_be_narrowed_to_a_model_and_a_version():
    for _, labels in selections():
        assert dict(labels).items() >= {"model": "$model", "version": "$version"}.items()
    assert {"datasource", "model", "version"} == {
        variable["name"] for variable in DASHBOARD["templating"]["list"]
    }


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_title_a_unit_and_the_chosen_data_source(panel):
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [
        SOURCE
    ] * (1 + len(panel["targets"]))


def test_no_data_source_of_one_installation_is_named():
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r'"uid": "(.*?)"', text)) == {"${datasource}", DASHBOARD["uid"]}


def test_panels_have_numbers_and_places_of_their_own():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        assert any(
            first[start] + first[length] <= second[start]
            for first, second in ((one, other), (other, one))
            for start, length in (("x", "w"), ("y", "h"))
        ), (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_parentheses_and_braces_of_queries_close():
    for query in queries():
        for opening, closing in ("()", "{}", "[]"):
            assert query.count(opening) == query.count(closing), query
