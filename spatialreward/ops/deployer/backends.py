"""What a deployer asks of the place where a judge is served."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from spatialreward.ops.registry import ModelVersion


class Served(NamedTuple):
    """The version that answers requests."""

    version: int
    """In the registry."""
    known_as: str
    """Name and version under which the server answers, such as ``judge/7``."""


class Progress(NamedTuple):
    """A version that is on its way; the next look sees how far."""

    message: str


class Backend(Protocol):
    """A place where one judge is served. Every method may be called again after a kill."""

    def served(self) -> Served | None:
        """The version of the registry that answers requests; None: none.

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
    ) -> Served | Progress:
        """Serve a version instead; until it is good, the version before answers everything.

        Args:
            model: the version.
            check: is called before requests are brought to it; what it raises ends the attempt.
            is_return: it was served before, and the served version has stepped down for it: the
                two need not agree.

        Returns:
            How the server knows it, or how far it is: then call again at the next look.

        Raises:
            NothingKnown: of the version; try again.
            DeploymentError: it is no good; the version before is still served.
        """
        ...
