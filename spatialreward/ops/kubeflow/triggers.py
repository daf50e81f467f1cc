"""When a schedule starts runs, from what people write to what the API takes."""

import re
from collections.abc import Mapping
from typing import Any

from spatialreward.errors import InvalidInputError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+)([smhd])")
_FIELD = re.compile(r"[\w*/,?-]+")
_CRONTAB_FIELDS = 5


def cron_trigger(text: str) -> dict[str, Any]:
    """A trigger at times of the calendar.

    The server reads six fields, of which the first are seconds, and would take the minutes of a
    crontab for seconds without a complaint. Five fields are therefore given the second 0.

    Args:
        text: five fields as in a crontab, six with seconds before them, or ``@daily`` and the like.

    Raises:
        InvalidInputError: it is none of them.
    """
    fields = text.split()
    if text.startswith("@"):
        return {"cron_schedule": {"cron": text.strip()}}
    if not all(_FIELD.fullmatch(field) for field in fields) or len(fields) not in (5, 6):
        raise InvalidInputError(
            f"--schedule {text!r}: expected minute hour day month weekday, such as '0 3 * * 1', "
            "or seconds before them, or @daily"
        )
    if len(fields) == _CRONTAB_FIELDS:
        fields = ["0", *fields]
    return {"cron_schedule": {"cron": " ".join(fields)}}


def interval_trigger(text: str) -> dict[str, Any]:
    """A trigger at regular intervals.

    Raises:
        InvalidInputError: it is no interval such as ``6h`` or ``1d12h``.
    """
    parts = _PART.findall(text)
    seconds = sum(int(number) * _UNITS_S[unit] for number, unit in parts)
    if not seconds or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInputError(f"--every {text!r}: expected an interval such as 30m, 6h or 1d12h")
    return {"periodic_schedule": {"interval_second": str(seconds)}}


def trigger_of(schedule: str | None, every: str | None) -> Mapping[str, Any] | None:
    """The trigger that was asked for; None for a run at once.

    Raises:
        InvalidInputError: both were, or what was given cannot be read.
    """
    if schedule is not None and every is not None:
        raise InvalidInputError("expected --schedule or --every, got both")
    if schedule is not None:
        return cron_trigger(schedule)
    return None if every is None else interval_trigger(every)
