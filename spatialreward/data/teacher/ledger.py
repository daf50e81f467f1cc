"""Every answer that was paid for, in SQLite before it is used, so that it is paid for once.

The file is locked for as long as it is open, so one process at a time writes it. The lock also
spares SQLite's shared memory, which no network volume has.
"""

import json
import sqlite3
import threading
from pathlib import Path

from pydantic import Field, NonNegativeInt

from spatialreward.chat.reply import Reply
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

_OPEN = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    edit TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    cost REAL NOT NULL
) STRICT;
"""
"""With ``FULL`` a committed answer survives a power cut; WAL alone survives a kill."""
_INSERT = """
INSERT INTO answers VALUES
(:key, :stage, :edit, :reply, :prompt_tokens, :completion_tokens, :estimated, :cost)
"""
_SPENT = """
SELECT coalesce(sum(prompt_tokens + completion_tokens), 0), total(cost) FROM answers
"""


class Entry(Record):
    """One row of the ledger: an answer and what it cost."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of all that was sent."""
    stage: str
    """What was asked for, such as ``annotate`` or ``verify``."""
    edit: str
    """Id of the edit that it was about."""
    reply: Reply
    """JSON in the file."""
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    estimated: bool = False
    """Whether the tokens are an estimate, because the server did not say."""
    cost: float = Field(0.0, ge=0)


class Ledger:
    """A ledger that this process alone has open; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open a ledger, or begin one.

        Raises:
            InvalidInputError: another process has it open, or the file is no ledger.
        """
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._database.row_factory = sqlite3.Row
        try:
            self._database.executescript(_OPEN)
            self.tokens, self.cost = self._database.execute(_SPENT).fetchone()
        except sqlite3.DatabaseError as error:
            self._database.close()
            is_open = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            reason = "another process has it open" if is_open else f"no ledger, or damaged: {error}"
            raise InvalidInputError(f"ledger {path}: {reason}") from error

    def find(self, key: str) -> Entry | None:
        """The answer to what has this hash; None if it was never paid for."""
        row = self._database.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return Entry(**{**row, "reply": Reply(**json.loads(row["reply"]))})

    def append(self, entry: Entry) -> None:
        """Commit an answer; it is on the disk when this returns.

        Raises:
            sqlite3.Error: the disk is full, or gone.
        """
        # Python's JSON holds half a surrogate pair, which pydantic's cannot.
        row = entry.model_dump() | {"reply": json.dumps(entry.reply.model_dump())}
        with self._lock:
            self._database.execute(_INSERT, row)
            self.tokens += entry.prompt_tokens + entry.completion_tokens
            self.cost += entry.cost

    def close(self) -> None:
        """Release the file, after an answer that is being committed."""
        with self._lock:
            self._database.close()
