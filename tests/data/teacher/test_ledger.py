import errno
import hashlib
import json
import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatialreward.data.teacher.ledger import Entry, Ledger, Paid, Reply
from spatialreward.errors import InvalidInputError


def entry(number: int, text: str | None = "yes", cost: float = 0.5) -> Entry:
    return Entry(
        key=hashlib.sha256(str(number).encode()).hexdigest(),
        stage="annotate",
        edit=f"edit-{number}",
        reply=Reply(text=text),
        paid=Paid(prompt_tokens=10, completion_tokens=5, cost=cost),
    )


def test_what_was_put_down_is_found_again(ledger):
    with Ledger(ledger) as written:
        for number in range(3):
            written.append(entry(number, text="日本\n\u2028 " * number))
    with Ledger(ledger) as read:
        assert [read.find(entry(number).key) for number in range(3)] == [
            entry(number, text="日本\n\u2028 " * number) for number in range(3)
        ]
        assert read.find(entry(9).key) is None
        assert (len(read), read.tokens, read.cost) == (3, 45, 1.5)


def test_it_is_found_in_the_run_that_put_it_down(ledger):
    with Ledger(ledger) as one:
        one.append(entry(1))
        assert one.find(entry(1).key) == entry(1)


def test_a_line_is_on_the_disk_when_append_returns(ledger, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), real(file))
    )
    with Ledger(ledger) as one:
        synced.clear()
        one.append(entry(1))
        assert synced == [ledger.stat().st_size]


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_ledger_cut_off_anywhere_keeps_its_whole_lines(tmp_path, data):
    path = tmp_path / "cut.jsonl"
    path.unlink(missing_ok=True)
    with Ledger(path) as written:
        for number in range(3):
            written.append(entry(number))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    with Ledger(path) as read:
        assert len(read) == complete
        read.append(entry(7))
    with Ledger(path) as read:
        assert len(read) == complete + 1
        assert read.find(entry(7).key) == entry(7)
        assert read.tokens == 15 * (complete + 1)


def test_a_damaged_line_is_named_rather_than_paid_again(ledger):
    with Ledger(ledger) as written:
        for number in range(3):
            written.append(entry(number))
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text(lines[0] + "{}\n" + lines[2])
    with pytest.raises(InvalidInputError, match=r"ledger\.jsonl, line 2: damaged \(Field required"):
        Ledger(ledger)


def test_half_a_line_is_taken_back_when_the_disk_is_full(ledger, monkeypatch):
    real = os.write
    with Ledger(ledger) as one:
        one.append(entry(1))

        def full(file, data):
            if len(data) < 40:
                raise OSError(errno.ENOSPC, "disk is full")
            return real(file, data[:-30])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="disk is full"):
            one.append(entry(2))
        monkeypatch.undo()
        one.append(entry(3))
        assert one.find(entry(3).key) == entry(3)
    with Ledger(ledger) as read:
        assert (len(read), read.find(entry(2).key)) == (2, None)


def test_a_ledger_has_one_writer(ledger):
    with Ledger(ledger):
        script = (
            "import pathlib, sys; from spatialreward.data.teacher.ledger import Ledger; "
            "Ledger(pathlib.Path(sys.argv[1]))"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, str(ledger)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert other.returncode != 0
        assert "another process has it open" in other.stderr
    with Ledger(ledger):
        pass


def test_a_line_says_what_it_was_for(ledger):
    with Ledger(ledger) as one:
        one.append(entry(4))
    line = json.loads(ledger.read_text())
    assert (line["stage"], line["edit"], line["paid"]["prompt_tokens"]) == (
        "annotate",
        "edit-4",
        10,
    )
