import json
import logging
import os
import subprocess
import sys

from spatialreward.ops.events import (
    FILE_VARIABLE,
    LOST,
    EventHandler,
    Failure,
    Teller,
    first_failure,
    parse_events,
    read_events,
)


def told(file):
    return [(event.step, event.kind, event.text) for event in read_events(file)]


def test_a_step_tells_nothing_where_no_file_is_named(monkeypatch):
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    teller = Teller.of("train-judge")
    teller.tell("started")
    assert teller.failure_before() is None


def test_what_is_logged_is_told_with_its_kind(tmp_path, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "events.jsonl"))
    logger = logging.Logger("spatialreward.test")
    logger.addHandler(EventHandler(Teller.of("train-judge")))
    logger.info("begins with\n%d edits", 3)
    logger.info("judged:  33%% 1/%d", 3, extra={"event": "progress"})
    logger.info("done before", extra={"event": "reused"})
    assert told(tmp_path / "events.jsonl") == [
        ("train-judge", "said", "begins with\n3 edits"),
        ("train-judge", "progress", "judged:  33% 1/3"),
        ("train-judge", "reused", "done before"),
    ]


def test_what_many_processes_tell_at_once_stays_whole(tmp_path):
    file = tmp_path / "events.jsonl"
    code = (
        "from spatialreward.ops.events import Teller\n"
        "for number in range(200): Teller.of('build-shard').tell('said', 'x' * 1000)\n"
    )
    several = [
        subprocess.Popen([sys.executable, "-c", code], env=os.environ | {FILE_VARIABLE: str(file)})
        for _ in range(2)
    ]
    assert [one.wait() for one in several] == [0, 0]
    lines = file.read_text().splitlines()
    assert len(parse_events(lines)) == len(lines) == 400


def test_half_a_line_is_no_event():
    line = json.dumps({"step": "s", "process": 1, "kind": "started"})
    assert [event.kind for event in parse_events([line, line[:20], ""])] == ["started"]


def test_the_first_failure_counts(tmp_path):
    file = tmp_path / "events.jsonl"
    first, second = Teller("train-judge", file), Teller("close-run", file)
    first.tell("started")
    assert second.failure_before() is None
    first.tell("failed", "no data")
    second.tell("failed", "no server")
    assert second.failure_before() == Failure("train-judge", "no data")


def test_a_process_that_is_gone_without_a_word_has_failed(tmp_path):
    file = tmp_path / "events.jsonl"
    code = "import sys; from spatialreward.ops.events import Teller\n"
    code += "Teller.of(sys.argv[1]).tell('started')\n"
    code += "if sys.argv[2:]: Teller.of(sys.argv[1]).tell('finished')\n"
    for arguments in (["build-shard", "ends"], ["train-judge"]):
        subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {FILE_VARIABLE: str(file)},
            check=True,
        )
    Teller("evaluate-judge", file).tell("started")
    assert first_failure(read_events(file)) == Failure("train-judge", LOST)
