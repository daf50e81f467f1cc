"""What a deployer asks of the place where a judge is served."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from spatialreward.ops.registry import ModelVersion


class Served(NamedTuple):
    """Who answers requests."""

    version: int
    """In the registry."""
    known_as: str
    """Name and version under which the server answers, such as ``judge/7``."""


class Backend(Protocol):
    """A place where one judge is served. Every method may be called again after a kill."""

    def turn(self) -> AbstractContextManager[bool]:
        """Have the place to oneself for a ``with`` block; False: another deployer has it."""
        ...

    def served(self) -> Served | None:
        """Which version of the registry requests are answered by; None: none.

        Raises:
            DeploymentError: that cannot be found out now.
        """
        ...

    def keep(self, served: Served) -> bool:
        """Look after the served version; True: it had to be brought back.

        Raises:
            NothingKnown: it cannot be looked after now.
            DeploymentError: it does not answer, or not yet.
        """
        ...

    def tidy(self, served: Served | None) -> None:
        """Put away versions that are not served: kept to return to, or removed.

        Raises:
            DeploymentError: that cannot be done now.
        """
        ...

    def deploy(
        self, model: ModelVersion, check: Callable[[], None], *, is_return: bool = False
    ) -> Served:
        """Serve a version instead; until it is good, who was served before answers everything.

        Args:
            model: the version.
            check: is called now and then until requests are brought to it; what it raises ends
                the attempt.
            is_return: it was served before, and who is served now has stepped down for it: the
                two need not agree.

        Raises:
            NothingKnown: of the version; try again.
            DeploymentError: it is no good; who was served before is served still.
        """
        ...
