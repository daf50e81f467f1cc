"""The interface of judges, local or remote; free of torch, for clients and tests."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from spatialreward.edits import Edit, kind_of
from spatialreward.errors import InvalidInputError
from spatialreward.records import JudgeIdentity, Judgement, Streams

Measure = Callable[[str, float], None]
"""Metrics callback: (name, increment), such as ``seconds/encode``; increments add up."""


def ignore(name: str, amount: float) -> None:
    """Measure nothing."""


def check_edits(edits: Iterable[Edit]) -> list[Edit]:
    """Check a judge's input, as a list.

    Raises:
        InvalidInputError: it is not a list of edits; the message has the position and type of the
            wrong element.
    """
    if not isinstance(edits, Iterable):
        raise InvalidInputError(f"edits: expected a list of Edit, got {kind_of(edits)}")
    checked = list(edits)
    for position, edit in enumerate(checked):
        if not isinstance(edit, Edit):
            raise InvalidInputError(f"edits[{position}]: expected Edit, got {kind_of(edit)}")
    return checked


class ClosedAtEnd(ABC):
    """A judge that a ``with`` block closes."""

    @abstractmethod
    def close(self) -> None:
        """See ``Judging``."""

    def __enter__(self) -> Self:
        """The judge itself; the ``with`` block closes it at its end."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        self.close()


class Judging(Protocol):
    """A judge of edits: in this process, or behind a server."""

    @property
    def notice(self) -> str:
        """A remark for readers of the judgements, such as the model's training data."""
        ...

    @property
    def identity(self) -> JudgeIdentity:
        """The judge's identity; a server is queried each time, because its judge may change."""
        ...

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order; an edit without an answer gets a failed one.

        Their ``judged_by`` is the identity line of the judge that answered.
        """
        ...

    def close(self) -> None:
        """Release the model or the connections; the judge is unusable afterwards."""
        ...

    def __enter__(self) -> Self:
        """The judge itself; the ``with`` block closes it at its end."""
        ...

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        ...


class Tokens(NamedTuple):
    """Tokens used so far by a judge with a price per token."""

    prompt: int
    completion: int


@runtime_checkable
class Metered(Protocol):
    """A judge that counts tokens."""

    @property
    def tokens(self) -> Tokens:
        """Tokens since loading, from answers whose server reported them."""
        ...


Listener = Callable[[Edit, Mapping[Streams, str]], None]
"""Callback: (edit, its answers verbatim); called once a pass."""


def listen_to_nothing(edit: Edit, answers: Mapping[Streams, str]) -> None:
    """Ignore answers."""


@runtime_checkable
class Writing(Protocol):
    """A judge that generates its answers and exposes them."""

    def set_listener(self, listener: Listener) -> None:
        """Pass all further answers to ``listener``, unreadable ones too."""
        ...


class Quoted(NamedTuple):
    """A judgement, and the answers behind it."""

    judgement: Judgement
    answers: tuple[dict[Streams, str], ...]
    """Verbatim, once a pass; empty for a judge that exposes no answers."""


def quoted(judging: Judging, edits: Sequence[Edit]) -> list[Quoted]:
    """Judge edits and collect the answers; raises the judge's errors.

    Each edit must be its own object.
    """
    written: dict[int, list[dict[Streams, str]]] = {id(edit): [] for edit in edits}
    if isinstance(judging, Writing):
        judging.set_listener(lambda edit, answers: written[id(edit)].append(dict(answers)))
    try:
        judgements = judging.judge(edits)
    finally:
        if isinstance(judging, Writing):
            judging.set_listener(listen_to_nothing)
    return [
        Quoted(judgement, tuple(written[id(edit)]))
        for edit, judgement in zip(edits, judgements, strict=True)
    ]
