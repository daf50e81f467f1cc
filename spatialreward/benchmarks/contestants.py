"""The judges of an evaluation: the named ones, their bases, and a baseline.

The base of a judge uses that judge's protocol, unless it has its own, so that only the training
differs.
"""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.evaluation import Contestant, Missing
from spatialreward.benchmarks.results import Price, Role
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.judges.interface import Judging
from spatialreward.judges.load import ORACLE, PIXELS, fetch, load_judge
from spatialreward.judges.openai_config import PREFIX as OPENAI
from spatialreward.protocol.prompts import PROTOCOL_FILE
from spatialreward.records import JudgeMode

logger = logging.getLogger(__name__)

_CARD = "card.json"
_ELSEWHERE = (OPENAI, "triton:")


class How(NamedTuple):
    """Loading options of the named judges; see ``load_judge``."""

    adapter: Path | None = None
    protocol: str | None = None
    passes: int = 1
    mode: JudgeMode | None = None

    @property
    def changed(self) -> str:
        """The first option that changes a registered judge; empty: none does."""
        given = {"adapter": self.adapter, "protocol": self.protocol, "mode": self.mode}
        found = [name for name, value in given.items() if value is not None]
        return (found + ["passes"] * (self.passes > 1) + [""])[0]


class Lineup(NamedTuple):
    """All contestants, and bases that cannot be loaded."""

    contestants: list[Contestant]
    missing: list[Missing]


def contestants(
    judges: Sequence[str],
    bases: Sequence[str],
    how: How,
    prices: Mapping[str, Price],
    *,
    with_pixels: bool,
) -> Lineup:
    """The judges, then their bases, then the baseline that compares pixels.

    Args:
        judges: in the forms of ``load_judge``.
        bases: of the judges; empty: those in their cards.
        how: options for the judges; bases and the baseline are loaded without.
        prices: by judge.
        with_pixels: whether to add the baseline.

    Raises:
        InvalidInputError: a judge is named twice, or a price belongs to no named judge.
    """
    if twice := [name for name in judges if judges.count(name) > 1]:
        raise InvalidInputError(f"judge {twice[0]}: is named twice")
    if unknown := sorted(prices.keys() - {*judges}):
        raise InvalidInputError(f"price of {unknown[0]}: expected a judge that is measured")
    found = [
        Contestant(name, functools.partial(load, name, how), price=prices.get(name))
        for name in judges
    ]
    missing: list[Missing] = []
    wanted = dict.fromkeys(bases) if bases else _bases_of(judges)
    for base, protocol in wanted.items():
        try:
            opening = functools.partial(_load_base, _place_of(base), protocol)
        except SpatialRewardError as error:
            why = f"as a base: {error}"
            missing.append(Missing(judge=base, benchmark="", reason=why, role=Role.BASE))
        else:
            if base not in judges:
                found.append(Contestant(base, opening, Role.BASE))
    if with_pixels and PIXELS not in judges:
        found.append(Contestant(PIXELS, functools.partial(load_judge, PIXELS), Role.BASELINE))
    return Lineup(found, missing)


def load(name: str, how: How) -> Judging:
    """A judge by name; ``how`` applies where it is relevant.

    Raises:
        SpatialRewardError: as ``load_judge``.
    """
    if name.partition(":")[0] in (PIXELS, ORACLE):
        return load_judge(name)
    return load_judge(name, **how._asdict())


def has_checkpoint(name: str) -> bool:
    """Whether a judge is a checkpoint loaded into this process."""
    return name.partition(":")[0] not in (PIXELS, ORACLE) and not name.startswith(_ELSEWHERE)


def _bases_of(judges: Sequence[str]) -> dict[str, Path | None]:
    """Bases of judges according to their cards, with the protocol of the first such judge."""
    bases: dict[str, Path | None] = {}
    for name in judges:
        if not has_checkpoint(name):
            continue
        try:
            folder = fetch(name).folder
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        except (SpatialRewardError, OSError, ValueError) as error:
            # Loading the judge later reports the error.
            logger.debug("judge %s: no card: %s", name, error)
            continue
        base = card.get("trained_from") if isinstance(card, dict) else None
        if isinstance(base, str) and base:
            protocol = folder / PROTOCOL_FILE
            bases.setdefault(base, protocol if protocol.is_file() else None)
    return bases


def _place_of(base: str) -> str:
    """The argument of ``load_judge`` for a base.

    Raises:
        InvalidInputError, HubError, TrackingError: it is missing and cannot be fetched.
    """
    from spatialreward.world.shipped import SHIPPED_BASE, SHIPPED_ORIGIN

    if base == SHIPPED_ORIGIN:
        return str(SHIPPED_BASE)
    if base.startswith(_ELSEWHERE) or base in (PIXELS, ORACLE):
        return base
    return str(fetch(base).folder)


def _load_base(place: str, protocol: Path | None) -> Judging:
    has_own = (Path(place) / PROTOCOL_FILE).is_file()
    return load_judge(place, protocol=None if has_own else protocol)
