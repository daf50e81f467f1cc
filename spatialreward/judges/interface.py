"""What every judge can do, wherever it runs; free of torch, for clients and tests."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from spatialreward.edits import Edit, kind_of
from spatialreward.errors import InvalidInputError
from spatialreward.records import JudgeIdentity, Judgement, Streams

Measure = Callable[[str, float], None]
"""Is told an amount of something by name, such as ``seconds/encode``; amounts add up."""


def ignore(name: str, amount: float) -> None:
    """Measure nothing."""


def check_edits(edits: Iterable[Edit]) -> list[Edit]:
    """What a judge was asked, as a list.

    Raises:
        InvalidInputError: it is no list of edits; the message has the position and type of what is
            none.
    """
    if not isinstance(edits, Iterable):
        raise InvalidInputError(f"edits: expected a list of Edit, got {kind_of(edits)}")
    checked = list(edits)
    for position, edit in enumerate(checked):
        if not isinstance(edit, Edit):
            raise InvalidInputError(f"edits[{position}]: expected Edit, got {kind_of(edit)}")
    return checked


class ClosedAtEnd(ABC):
    """A judge that is closed at the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """See ``Judging``."""

    def __enter__(self) -> Self:
        """The judge itself; it is closed at the end of the ``with`` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        self.close()


class Judging(Protocol):
    """A judge of edits: in this process, or behind a server."""

    @property
    def notice(self) -> str:
        """What a reader of the judgements must know about the model, such as its training data."""
        ...

    @property
    def identity(self) -> JudgeIdentity:
        """Who judges; a server is asked each time, since another judge may be served by now."""
        ...

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order; an edit without an answer gets a failed one.

        Their ``judged_by`` is the line of the identity of the judge that answered.
        """
        ...

    def close(self) -> None:
        """Let go of the model or the connections; the judge cannot be asked any more."""
        ...

    def __enter__(self) -> Self:
        """The judge itself; it is closed at the end of the ``with`` block."""
        ...

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        ...


class Tokens(NamedTuple):
    """What a judge that is paid by the token has read and written so far."""

    prompt: int
    completion: int


@runtime_checkable
class Metered(Protocol):
    """A judge that counts tokens."""

    @property
    def tokens(self) -> Tokens:
        """Since it was loaded, of the answers whose server has told their number."""
        ...


Listener = Callable[[Edit, Mapping[Streams, str]], None]
"""Is told the answers about an edit, word for word; in several passes it is told several times."""


def listen_to_nothing(edit: Edit, answers: Mapping[Streams, str]) -> None:
    """Let answers go by."""


@runtime_checkable
class Writing(Protocol):
    """A judge that writes its answers, and hands them out."""

    def tell(self, listener: Listener) -> None:
        """From now on tell this one what is written, also what cannot be read."""
        ...


class Quoted(NamedTuple):
    """A judgement, and what was written for it."""

    judgement: Judgement
    answers: tuple[dict[Streams, str], ...]
    """Word for word, once a pass; none of a judge that does not write or hand out what it wrote."""


def quoted(judging: Judging, edits: Sequence[Edit]) -> list[Quoted]:
    """Have edits judged, and note what is written meanwhile; raises what the judge raises.

    Each edit is an object of its own.
    """
    written: dict[int, list[dict[Streams, str]]] = {id(edit): [] for edit in edits}
    if isinstance(judging, Writing):
        judging.tell(lambda edit, answers: written[id(edit)].append(dict(answers)))
    try:
        judgements = judging.judge(edits)
    finally:
        if isinstance(judging, Writing):
            judging.tell(listen_to_nothing)
    return [
        Quoted(judgement, tuple(written[id(edit)]))
        for edit, judgement in zip(edits, judgements, strict=True)
    ]
