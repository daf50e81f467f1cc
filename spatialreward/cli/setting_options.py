"""The option of several commands that changes settings."""

from typing import Any

import typer


def changes_of(what: str, example: str) -> Any:
    """``--set KEY=VALUE``, as often as one likes.

    Args:
        what: is changed, such as ``a setting``.
        example: of a key with a value.
    """
    return typer.Option(
        "--set", metavar="KEY=VALUE", help=f"Change {what}, such as {example}; may be repeated."
    )
