"""``spatialreward judge``: a verdict on pictures on disk, by a model here or one that is served."""

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.edits import EditRequest, read_requests
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName
from spatialreward.cli.verdict import (
    check_pictures,
    print_verdict,
    printable,
    to_json,
    write_overlay,
)
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.progress import track
from spatialreward.records import Judgement, JudgementStatus

if TYPE_CHECKING:
    from spatialreward.edits import Edit
    from spatialreward.judges.interface import Judging

NO_JUDGEMENT = 2
"""Exit status when a judge answered, but not with a judgement."""
_BATCH = 8
_ENDPOINT = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")


def judge(
    context: typer.Context,
    source: Annotated[Path | None, typer.Option(help="Picture before the edit.")] = None,
    edited: Annotated[Path | None, typer.Option(help="Picture after the edit.")] = None,
    instruction: Annotated[str | None, typer.Option(help="What was asked for.")] = None,
    edits: Annotated[
        Path | None,
        typer.Option(
            help="Judge many: a JSONL file with id, source, edited and instruction a line, "
            "pictures relative to the file. Writes one line of JSON an edit."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="JUDGE", help=f"Judge with: {JUDGES}.")
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT[,...]",
            envvar="TRITON_GRPC_URL",
            help="Judge with a Triton server (gRPC), or several.",
        ),
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Draw regions and scores to this PNG file.")
    ] = None,
    overlay_dir: Annotated[
        Path | None, typer.Option(help="With --edits: draw each edit to ID.png in this folder.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge an edit: where it happened, how well it was done, what else it changed.

    Exit status: 0 judged, 1 unusable input, 2 the judge's answer is no judgement.

    Example: spatialreward judge --model pixels --source a.png --edited b.png --instruction "add it"
    """
    source_of_endpoint = context.get_parameter_source("endpoint")
    if model is not None and source_of_endpoint and source_of_endpoint.name == "ENVIRONMENT":
        endpoint = None
    _check_judge(model, endpoint)
    from spatialreward.judges.load import load_judge

    # The judge comes last: nothing slow is loaded for a request that cannot be judged.
    judge_name = model if endpoint is None else f"triton:{endpoint}"
    opening = functools.partial(
        load_judge, judge_name, adapter=adapter, protocol=protocol, passes=passes, mode=mode
    )
    if edits is not None:
        _refuse("--edits", source=source, edited=edited, instruction=instruction, overlay=overlay)
        _judge_many(edits, overlay_dir, opening)
    else:
        _refuse("a single edit; use --overlay", overlay_dir=overlay_dir)
        request = _single_request(source, edited, instruction)
        _judge_one(request, overlay, json_output, opening)


def _judge_one(
    request: EditRequest,
    overlay: Path | None,
    json_output: bool,
    opening: Callable[[], "Judging"],
) -> None:
    edit = request.load()
    if overlay is not None:
        check_pictures([overlay], [request.source, request.edited])
    judging = opening()
    (judgement,) = judging.judge([edit])
    failed = judgement.status is JudgementStatus.FAILED
    if overlay is not None:
        write_overlay(overlay, edit, judgement, judging.notice)
    if json_output:
        typer.echo(to_json(request, judgement, judging.notice, with_id=False))
    elif not failed:
        print_verdict(judgement, edit.edited.size)
    if judging.notice:
        typer.echo(f"note: {judging.notice}", err=True)
    if failed:
        typer.echo(f"no judgement: {printable(judgement.reason)}", err=True)
        raise typer.Exit(NO_JUDGEMENT)


def _judge_many(path: Path, overlay_dir: Path | None, opening: Callable[[], "Judging"]) -> None:
    requests = read_requests(path)
    if overlay_dir is not None:
        prepare_overlays(overlay_dir, requests)
    judging = opening()
    if judging.notice:
        typer.echo(f"note: {judging.notice}", err=True)
    failures = 0
    for request, judgement in judge_requests(judging, requests, overlay_dir):
        failures += judgement.status is JudgementStatus.FAILED
        typer.echo(to_json(request, judgement, judging.notice, with_id=True))
    if failures:
        typer.echo(f"no judgement for {failures} of {len(requests)} edits", err=True)
        raise typer.Exit(NO_JUDGEMENT)


def judge_requests(
    judging: "Judging", requests: Sequence[EditRequest], overlay_dir: Path | None
) -> Iterator[tuple[EditRequest, Judgement]]:
    """Judge edits on disk with progress; draw each that can be read to ID.png in a folder.

    Raises:
        InvalidInputError: an overlay cannot be written.
    """
    verdicts = _verdicts(judging, requests)
    for request, edit, judgement in track(verdicts, total=len(requests), description="judge"):
        if overlay_dir is not None and edit is not None:
            write_overlay(overlay_dir / f"{request.id}.png", edit, judgement, judging.notice)
        yield request, judgement


def _verdicts(
    judging: "Judging", requests: Sequence[EditRequest]
) -> Iterator[tuple[EditRequest, "Edit | None", Judgement]]:
    """Judge batch by batch; an edit that cannot be read fails alone, with its reason."""
    for start in range(0, len(requests), _BATCH):
        batch = requests[start : start + _BATCH]
        loaded = [_load_or_fail(request) for request in batch]
        readable = [item for item in loaded if not isinstance(item, Judgement)]
        judgements = iter(judging.judge(readable) if readable else [])
        for request, item in zip(batch, loaded, strict=True):
            if isinstance(item, Judgement):
                yield request, None, item
            else:
                yield request, item, next(judgements)


def _load_or_fail(request: EditRequest) -> "Edit | Judgement":
    try:
        return request.load()
    except InvalidInputError as error:
        return Judgement.failed(str(error), Failure.BAD_INPUT)


def _check_judge(model: str | None, endpoint: str | None) -> None:
    if (model is None) == (endpoint is None):
        wrong = "no judge given" if model is None else "two judges given"
        raise InvalidInputError(
            f"{wrong}: use either --model JUDGE (a folder, hub:..., models:/..., openai:..., "
            "pixels, oracle) or --endpoint HOST:PORT (or TRITON_GRPC_URL)"
        )
    if endpoint is not None and not all(map(_ENDPOINT.fullmatch, endpoint.split(","))):
        raise InvalidInputError(f"--endpoint: expected HOST:PORT, got {endpoint!r}")


def _single_request(
    source: Path | None, edited: Path | None, instruction: str | None
) -> EditRequest:
    if source is None or edited is None or instruction is None:
        given = {"--source": source, "--edited": edited, "--instruction": instruction}
        missing = ", ".join(name for name, value in given.items() if value is None)
        raise InvalidInputError(f"{missing} missing: give all three, or --edits FILE")
    return EditRequest(id="edit", source=source, edited=edited, instruction=instruction)


def _refuse(beside: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInputError(f"{option} does not go with {beside}")


def prepare_overlays(folder: Path, requests: Sequence[EditRequest]) -> None:
    """Make the folder of overlays, and find out whether they can be written there.

    Raises:
        InvalidInputError: they cannot, or one would replace a picture that is judged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--overlay-dir {folder}: {error.strerror}") from error
    inputs = list(itertools.chain.from_iterable((each.source, each.edited) for each in requests))
    check_pictures([folder / f"{each.id}.png" for each in requests], inputs)
