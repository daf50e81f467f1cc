"""A checkpoint in this process, in the requested mode: generated answers, or a head."""

from pathlib import Path
from typing import Any

from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import EngineName, Judge
from spatialreward.judges.scalar import ScalarJudge
from spatialreward.protocol.choice import stated_protocol
from spatialreward.records import AnswerForm, JudgeMode


def load_local(
    folder: Path,
    *,
    mode: JudgeMode | None = None,
    engine: EngineName = "transformers",
    adapter: Path | None = None,
    protocol: str | Path | None = None,
    guided: bool = True,
    join_below: float | None = None,
    **more: Any,
) -> Judge | ScalarJudge:
    """Load a judge's checkpoint.

    Args:
        folder: the checkpoint.
        mode: ``reason`` or ``scalar``; None: ``reason`` if the checkpoint supports it, else
            ``scalar``.
        engine: as for ``Judge.load``; a head needs transformers.
        adapter: as for ``Judge.load``.
        protocol: as for ``Judge.load``.
        guided: as for ``Judge.load``; without effect for a head.
        join_below: as for ``Judge``; without effect for a head, whose batches end at once.
        more: options of both kinds of judge.

    Raises:
        InvalidInputError: as ``Judge.load`` and ``ScalarJudge.load``, or the checkpoint lacks the
            mode.
    """
    if mode is None:
        stated = stated_protocol(folder, adapter, protocol)
        writes = stated is None or stated.answer is not AnswerForm.NONE
        mode = JudgeMode.REASON if writes else JudgeMode.SCALAR
    if mode is JudgeMode.REASON:
        if join_below is not None:
            more["join_below"] = join_below
        return Judge.load(
            folder, engine=engine, adapter=adapter, protocol=protocol, guided=guided, **more
        )
    if engine != "transformers":
        raise InvalidInputError(
            f"mode scalar: expected engine transformers, which gives hidden states, got {engine}"
        )
    return ScalarJudge.load(folder, adapter=adapter, protocol=protocol, **more)
