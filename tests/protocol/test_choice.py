import logging

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.prompts import FULL, PROTOCOL_FILE, TINY

OWN = TINY.model_copy(update={"name": "own"})


def test_a_checkpoints_own_protocol_counts(tmp_path, caplog):
    OWN.write(tmp_path)
    with caplog.at_level(logging.INFO):
        assert protocol_of(tmp_path) == OWN
    assert caplog.messages == []


def test_without_one_the_prompts_for_large_models_are_taken_and_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert protocol_of(tmp_path) == FULL
    (line,) = caplog.messages
    assert f"{tmp_path}: no {PROTOCOL_FILE}, so it is judged with protocol full" in line


def test_without_one_a_user_may_name_another(tmp_path, caplog):
    file = tmp_path / "my.json"
    file.write_text(OWN.model_dump_json())
    with caplog.at_level(logging.INFO):
        assert protocol_of(tmp_path, "tiny") == TINY
        assert protocol_of(tmp_path, file) == protocol_of(tmp_path, str(file)) == OWN
    assert caplog.messages == []


def test_no_other_protocol_replaces_a_checkpoints_own(tmp_path):
    OWN.write(tmp_path)
    with pytest.raises(InvalidInputError, match=r"trained with its own protocol\.json \(own\)"):
        protocol_of(tmp_path, "full")
    assert protocol_of(tmp_path, tmp_path / PROTOCOL_FILE) == OWN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected full, .*, tiny-scores or a protocol file"),
        ("{", "my.json: "),
        (FULL.model_dump_json().replace("{source}", ""), "my.json: semantic: .*{source} 1 times"),
        (FULL.model_dump_json()[:-1] + ', "colour": 1}', "my.json: .*colour"),
    ],
)
def test_a_file_that_is_no_protocol_is_named_with_its_field(tmp_path, content, message):
    file = tmp_path / "my.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        protocol_of(tmp_path, file)
