"""The tags of a model version that promotion and deployment write, beside its figures."""

import datetime

GATE = "gate"
"""``passed``, or ``failed: ...``."""
PROMOTED_BY, PROMOTED_AT, PROMOTED_REASON = "promoted_by", "promoted_at", "promoted_reason"
PROMOTED_OVER = "promoted_over"
"""The version that was champion before; empty: there was none."""
DEMOTED_BY, DEMOTED_AT, DEMOTED_REASON = "demoted_by", "demoted_at", "demoted_reason"
SERVING, SERVING_AT = "serving", "serving_at"
SERVED, RETIRED, FAILED = "served", "retired", "failed: "
"""Values of ``serving``; the reason follows the last."""
SERVED_AS = "served_as"
"""Name and version under which the server answers, such as ``judge/7``."""
PROMOTION_TAGS = (PROMOTED_BY, PROMOTED_AT, PROMOTED_REASON, PROMOTED_OVER)
DEMOTION_TAGS = (DEMOTED_BY, DEMOTED_AT, DEMOTED_REASON)
SERVING_TAGS = (SERVING, SERVING_AT, SERVED_AS)
OURS = frozenset({GATE, *PROMOTION_TAGS, *DEMOTION_TAGS, *SERVING_TAGS})
_LONGEST = 500


def now() -> str:
    """The time as tags carry it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def one_line(text: str) -> str:
    """A reason as tags carry it."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
