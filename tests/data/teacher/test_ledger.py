import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from spatialreward.data.teacher.ledger import Entry, Ledger, Reply
from spatialreward.errors import InvalidInputError
from tests.data.teacher.conftest import rows_of


def entry(number: int, text: str | None = "yes", cost: float = 0.5) -> Entry:
    return Entry(
        key=hashlib.sha256(str(number).encode()).hexdigest(),
        stage="annotate",
        edit=f"edit-{number}",
        reply=Reply(text=text),
        prompt_tokens=10,
        completion_tokens=5,
        cost=cost,
    )


def test_what_was_put_down_is_found_in_this_run_and_in_the_next(ledger):
    entries = [entry(number, text="日本\n\u2028 \x00\ud83d" * number) for number in range(3)]
    with closing(Ledger(ledger)) as written:
        for one in entries:
            written.append(one)
        assert written.find(entries[1].key) == entries[1]
    with closing(Ledger(ledger)) as read:
        assert [read.find(one.key) for one in entries] == entries
        assert read.find(entry(9).key) is None
        assert (read.tokens, read.cost) == (45, 1.5)
    row = rows_of(ledger)[2]
    assert (row["stage"], row["edit"], row["prompt_tokens"]) == ("annotate", "edit-2", 10)


def test_what_many_threads_put_down_is_all_counted(ledger):
    with closing(Ledger(ledger)) as written:
        threads = [
            threading.Thread(target=written.append, args=(entry(number),)) for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (written.tokens, written.cost) == (16 * 15, 8.0)
    assert len(rows_of(ledger)) == 16


KILLED = """
import os, pathlib, signal, sys
from spatialreward.data.teacher.ledger import Ledger
from tests.data.teacher.test_ledger import entry
ledger = Ledger(pathlib.Path(sys.argv[1]))
for number in range(3):
    ledger.append(entry(number))
ledger._database.execute("BEGIN")
ledger.append(entry(3))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_of_an_answer_keeps_those_before(ledger):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(ledger)], env=os.environ, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(Ledger(ledger)) as read:
        assert read.find(entry(2).key) == entry(2)
        assert read.find(entry(3).key) is None
        assert read.tokens == 45
        read.append(entry(3))
    assert len(rows_of(ledger)) == 4


def test_an_answer_that_does_not_fit_on_the_disk_is_neither_kept_nor_counted(ledger):
    with closing(Ledger(ledger)) as one:
        one.append(entry(1))
        (pages,) = one._database.execute("PRAGMA page_count").fetchone()
        one._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            one.append(entry(2, text="x" * 100_000))
        one._database.execute("PRAGMA max_page_count = 1000")
        one.append(entry(3))
        assert one.tokens == 30
    assert [row["edit"] for row in rows_of(ledger)] == ["edit-1", "edit-3"]


def test_a_file_that_is_no_ledger_is_named(ledger):
    ledger.write_text('{"key": "an answer in JSON"}\n' * 50)
    with pytest.raises(InvalidInputError, match=r"ledger\.sqlite: no ledger, or damaged: file is"):
        Ledger(ledger)


def test_a_ledger_has_one_writer(ledger):
    with closing(Ledger(ledger)):
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
    Ledger(ledger).close()
