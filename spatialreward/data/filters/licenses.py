"""Leaves out rows whose licence is not among those that are wanted."""

from collections.abc import Sequence

from spatialreward.data.filters.reasons import Finding, Reason


def check_license(license: str, allowed: Sequence[str] | None) -> Finding | None:
    """What is wrong with a row's licence; None if nothing is.

    Args:
        license: as the data set words it; empty if it names none.
        allowed: licences that rows may have, of any case and spacing; None: any, or none at all.
    """
    if allowed is None or _key(license) in map(_key, allowed):
        return None
    detail = f"its licence is {license!r}" if license else "it names no licence"
    return Finding(Reason.LICENSE, f"{detail}, allowed are {', '.join(allowed)}")


def _key(license: str) -> str:
    return " ".join(license.casefold().split())
