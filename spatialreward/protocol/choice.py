"""Chooses a checkpoint's protocol: its own, or for one without, the user's."""

import logging
from pathlib import Path

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import (
    FULL,
    FULL_REASONING,
    FULL_SCORES,
    PROTOCOL_FILE,
    TINY,
    TINY_REASONING,
    TINY_SCORES,
    Protocol,
)
from spatialreward.records import AnswerForm

logger = logging.getLogger(__name__)

BY_NAME = {
    one.name: one for one in (FULL, FULL_REASONING, FULL_SCORES, TINY, TINY_REASONING, TINY_SCORES)
}
"""The protocols that ship with the library."""


def in_form(family: str | Path, form: AnswerForm) -> Protocol:
    """The protocol of a family, ``full`` or ``tiny``, with a form of answers.

    A scalar head reads the same prompt as the family's own form.
    """
    if form is AnswerForm.NONE:
        usual = named_protocol(family)
        return usual.model_copy(update={"name": f"{usual.name}-{form}", "answer": form})
    return BY_NAME[family if form is AnswerForm.REGIONS else f"{family}-{form}"]


def home_of(folder: Path, adapter: Path | None = None) -> Path:
    """The folder whose protocol counts: an adapter's if it has one, as the last one trained."""
    return adapter if adapter is not None and (adapter / PROTOCOL_FILE).is_file() else folder


def stated_protocol(
    folder: Path, adapter: Path | None = None, given: str | Path | None = None
) -> Protocol | None:
    """The protocol in a checkpoint or its adapter, else the given one; None if there is neither.

    Raises:
        InvalidInputError: it is malformed, or no protocol has that name.
    """
    home = home_of(folder, adapter)
    if (home / PROTOCOL_FILE).is_file():
        return Protocol.read(home)
    return None if given is None else named_protocol(given)


def protocol_of(folder: Path, given: str | Path | None = None) -> Protocol:
    """The protocol of a checkpoint.

    Args:
        folder: the checkpoint. Its own protocol counts, because it was trained with it.
        given: for a checkpoint without one: one of ``BY_NAME`` or a protocol file; default
            ``full``.

    Raises:
        InvalidInputError: there is no such file, one is malformed, or ``given`` differs from the
            checkpoint's own.
    """
    own = Protocol.read(folder) if (folder / PROTOCOL_FILE).is_file() else None
    asked = None if given is None else named_protocol(given)
    if own is not None:
        if asked is not None and asked != own:
            raise InvalidInputError(
                f"{folder}: was trained with its own {PROTOCOL_FILE} ({own.name}), which is not "
                f"{given}: judge without --protocol, or move the file away"
            )
        return own
    if asked is None:
        asked = FULL
        logger.info(
            "%s: no %s, so it is judged with protocol %s; --protocol names another",
            folder,
            PROTOCOL_FILE,
            asked.name,
        )
    return asked


def place_of(folder: Path, given: str | Path | None = None) -> str:
    """Origin of the protocol of ``protocol_of``, for messages: its file, or ``protocol NAME``."""
    if (folder / PROTOCOL_FILE).is_file():
        return str(folder / PROTOCOL_FILE)
    asked = FULL.name if given is None else str(given)
    return f"protocol {asked}" if asked in BY_NAME else asked


def named_protocol(given: str | Path) -> Protocol:
    """One of ``BY_NAME``, or the one in a file.

    Raises:
        InvalidInputError: there is no such file, or it is malformed.
    """
    if str(given) in BY_NAME:
        return BY_NAME[str(given)]
    path = Path(given)
    if not path.is_file():
        names = ", ".join(BY_NAME)
        raise InvalidInputError(f"protocol {given}: expected {names} or a protocol file")
    return Protocol.read_file(path)
