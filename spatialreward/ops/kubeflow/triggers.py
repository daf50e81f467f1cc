"""The trigger of a schedule, as the API takes it, from text of the command line."""

import re
from collections.abc import Mapping
from typing import Any

from spatialreward.errors import InvalidInputError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_INTERVAL = re.compile(r"(?:\d+[smhd])+")
_CRON = re.compile(r"@.*|[\w*/,?-]+(?: [\w*/,?-]+){4,5}")
_CRONTAB_FIELDS = 5


def trigger_of(schedule: str | None, every: str | None) -> Mapping[str, Any] | None:
    """The trigger of ``--schedule`` or ``--every``; None for a run at once.

    Raises:
        InvalidInputError: both are given, or one cannot be read.
    """
    if schedule is not None and every is not None:
        raise InvalidInputError("expected --schedule or --every, got both")
    if schedule is not None:
        return {"cron_schedule": {"cron": _cron(schedule)}}
    return None if every is None else {"periodic_schedule": {"interval_second": _seconds(every)}}


def _cron(text: str) -> str:
    fields = text.split()
    cron = " ".join(fields)
    if not _CRON.fullmatch(cron):
        raise InvalidInputError(
            f"--schedule {text!r}: expected minute hour day month weekday, such as '0 3 * * 1', "
            "or seconds before them, or @daily"
        )
    # The server reads six fields, and would take the minutes of a crontab for seconds.
    return f"0 {cron}" if len(fields) == _CRONTAB_FIELDS else cron


def _seconds(text: str) -> str:
    parts = re.findall(r"(\d+)(\D)", text) if _INTERVAL.fullmatch(text) else []
    seconds = sum(int(number) * _UNITS_S[unit] for number, unit in parts)
    if not seconds:
        raise InvalidInputError(f"--every {text!r}: expected an interval such as 30m, 6h or 1d12h")
    return str(seconds)
