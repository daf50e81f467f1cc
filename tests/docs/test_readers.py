"""What the readers of settings and records in the docs refuse."""

import pytest

from tests.docs.readers import READERS, check_python


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("toml", "[teacher]\nbase_url = 'http://a/v1'\nmodel = 'b'\nnosuch = 1\n"),
        ("toml", "[rl]\nnosuch = 1\n"),
        ("toml", "[images]\na = 'b'\n"),
        ("json", '{"score": [26, 0]}'),
        ("json", '{"semantic": "no slot", "perceptual": "{edited}"}'),
        ("jsonl", '{"id": "../a", "source": "a", "edited": "b", "instruction": "c"}'),
        ("jsonl", "[1]"),
        ("yaml", "model: spatialreward.client.adapters.flow_factory.NoSuch"),
        ("yaml", "patches: []"),
        ("pbtxt", 'parameters { key: "nosuch" value: { string_value: "1" } }'),
    ],
)
def test_what_is_not_as_the_library_reads_it_fails(kind, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, ValueError)):
        READERS[kind](text)


@pytest.mark.parametrize(
    "text", ["(", "from spatialreward.nosuch import a", "from spatialreward.client import nosuch"]
)
def test_python_that_is_wrong_or_names_nothing_of_ours_fails(text):
    with pytest.raises((SyntaxError, ImportError)):
        check_python(text)
