"""Which key a server gets, and where no key may go; free of everything heavy."""

import os

from spatialreward.chat.config import ChatServer
from spatialreward.errors import InvalidInputError


def key_of(config: ChatServer) -> str:
    """The key to send; empty for a server that gets none.

    Raises:
        InvalidInputError: the environment variable that is to hold it is not set, or holds
            something that no header can carry; names it, never what it holds.
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
