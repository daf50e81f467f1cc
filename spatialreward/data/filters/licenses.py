"""Drops rows without an allowed licence."""

from collections.abc import Sequence

from spatialreward.data.filters.reasons import Finding, Reason


def check_license(license: str, allowed: Sequence[str] | None) -> Finding | None:
    """The finding against a row's licence; None if allowed.

    Args:
        license: in the data set's words; empty if it has none.
        allowed: allowed licences, ignoring case and spacing; None: any, or none at all.
    """
    if allowed is None or _key(license) in map(_key, allowed):
        return None
    detail = f"its licence is {license!r}" if license else "it names no licence"
    return Finding(Reason.LICENSE, f"{detail}, allowed are {', '.join(allowed)}")


def _key(license: str) -> str:
    return " ".join(license.casefold().split())
