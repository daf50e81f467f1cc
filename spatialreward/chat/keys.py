"""Chooses the key for a server, and refuses unsafe destinations; free of heavy imports."""

import os

from spatialreward.chat.config import ChatServer
from spatialreward.errors import InvalidInputError


def key_of(config: ChatServer) -> str:
    """The key to send; empty for a server without one.

    Raises:
        InvalidInputError: its environment variable is unset, or its value cannot be a header; names
            the variable, never the value.
    """
    variable = config.key_variable
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    where = f"{config.role} {config.base_url}"
    if not key:
        raise InvalidInputError(f"{where}: environment variable {variable} holds no key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidInputError(
            f"{where}: what environment variable {variable} holds is no key: "
            "expected letters, digits and signs without spaces"
        )
    return key
