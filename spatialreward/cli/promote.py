"""``spatialreward promote`` and ``demote``: which version of a model is the champion."""

import getpass
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.table import Table

    from spatialreward.ops.config import EditorRegistrationStep, JudgeRegistrationStep
    from spatialreward.ops.promotion.evidence import Comparison

WHO = "SPATIALREWARD_USER"


class Kind(StrEnum):
    """What can be promoted."""

    JUDGE = "judge"
    EDITOR = "editor"


What = Annotated[Kind, typer.Argument(metavar="judge|editor", help="Which model.")]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The registered model. Default: spatial-reward, or spatial-editor.",
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept as a tag of the version.")]


def promote(
    what: What,
    version: Annotated[
        int, typer.Option(min=1, metavar="N", help="The version in the registry that is promoted.")
    ],
    name: Name = None,
    gate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Bounds other than the default ones, such as min_mean_iou = 0.7.",
        ),
    ] = None,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Make a version the champion, when the figures of its evaluation pass the gate.

    Shows the version beside the champion, figure by figure, and asks. Then the alias champion moves
    to the version and the alias previous to who was champion; who, when and why are tags of the
    version. A version that falls short of the gate is not promoted, whatever one answers; one that
    stepped down or could not be served comes back only with a --reason; a pipeline does not
    have it back.

    Nothing is served by this command itself: a deployer that follows the registry (see
    `spatialreward deploy watch --help`) does that within seconds, and gives the alias back when the
    version cannot be served. Without one: spatialreward deploy --model models:/NAME@champion.

    Example: spatialreward promote judge --version 7 --reason "sees removals"
    """
    settings = _settings(what, name, gate)
    from spatialreward.ops import promotion
    from spatialreward.ops.promotion.evidence import compare

    compared = compare(settings.name, version, settings.gate)
    _print_comparison(compared)
    if compared.champion == compared.candidate:
        typer.echo(f"{compared.candidate.uri} is the champion already")
        return
    passes = all(row.passes is not False for row in compared.rows)
    if passes and not any(row.complaint for row in compared.beside):
        _ask(f"Make {compared.candidate.uri} the champion?", yes=yes)
    # What falls short of the gate is refused without a question.
    change = promotion.promote(
        settings.name,
        version,
        settings.gate,
        by=_who(),
        reason=reason,
        again=bool(reason.strip()),
        seen=compared.aliases,
    )
    before = change.before.uri if change.before else "none"
    typer.echo(f"{compared.candidate.uri} is the champion, before: {before}")


def demote(
    what: What,
    name: Name = None,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Have the champion step down: the version with the alias previous is champion again.

    A further demotion goes further back. The reason is kept as a tag of the version that steps
    down; to make it champion again, promote it with a reason.

    This is the way back. A deployer that follows the registry serves the champion again by itself;
    without one: spatialreward deploy --model models:/NAME@champion.

    Example: spatialreward demote judge --reason "misses removals"
    """
    settings = _settings(what, name, None)
    from spatialreward.ops import promotion
    from spatialreward.ops.registry import CHAMPION, PREVIOUS, aliases_of

    aliases = aliases_of(settings.name)
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    if champion and previous:
        _ask(f"Have {champion.uri} step down for {previous.uri}?", yes=yes)
    change = promotion.demote(settings.name, by=_who(), reason=reason, seen=aliases)
    assert change.champion is not None
    assert change.before is not None
    typer.echo(f"{change.champion.uri} is the champion again, after {change.before.uri}")


def _settings(
    what: Kind, name: str | None, gate: Path | None
) -> "JudgeRegistrationStep | EditorRegistrationStep":
    from spatialreward.benchmarks.config import EditorGate, JudgeGate
    from spatialreward.ops.config import EditorRegistrationStep, JudgeRegistrationStep, read_toml

    change: dict[str, object] = {"name": name} if name else {}
    match what:
        case Kind.JUDGE:
            if gate:
                change["gate"] = read_toml(JudgeGate, gate)
            return JudgeRegistrationStep().model_copy(update=change)
        case Kind.EDITOR:
            if gate:
                change["gate"] = read_toml(EditorGate, gate)
            return EditorRegistrationStep().model_copy(update=change)


def _print_comparison(compared: "Comparison") -> None:
    from rich.table import Table
    from rich.text import Text

    from spatialreward.figures import figures_console

    champion = f"champion ({compared.champion.version})" if compared.champion else "no champion"
    table = Table(
        title=f"{compared.candidate.uri} beside the champion",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("figure", no_wrap=True)
    for heading in (champion, f"version {compared.candidate.version}", "difference", "gate"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("passes")
    told = {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("")}
    for row in compared.rows:
        table.add_row(
            row.figure,
            _number(row.champion),
            Text(_number(row.candidate) or "not measured", "bold"),
            _number(row.difference, signed=True),
            str(row.bound or ""),
            told[row.passes],
        )
    for fact, (theirs, mine) in compared.facts.items():
        table.add_row(fact, Text(theirs), Text(mine), "", "", "")
    figures_console().print(table)
    if compared.beside:
        figures_console().print(_table_beside(compared))


def _table_beside(compared: "Comparison") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="prompt by prompt, the candidate less the champion",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("benchmark", no_wrap=True)
    table.add_column("figure")
    for heading in ("difference", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("passes", overflow="fold")
    for row in compared.beside:
        interval = "" if row.interval is None else "{:+.4f} .. {:+.4f}".format(*row.interval)
        passes = Text(f"no: {row.complaint}", "bold red") if row.complaint else Text("yes", "green")
        difference = Text(_number(row.difference, signed=True), "bold")
        table.add_row(row.benchmark, row.figure, difference, interval, passes)
    return table


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{question} There is no terminal to ask at: answer with --yes")
    typer.confirm(question, abort=True)


def _who() -> str:
    """Who promotes: as the environment says, else the user of this machine."""
    told = os.environ.get(WHO)
    if told:
        return told
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user has no name.
        return f"uid {os.getuid()}"
