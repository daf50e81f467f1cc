"""Edits as the tensors of a request, and an answer's tensors as judgements."""

import math
import struct
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from pydantic import ValidationError
from tritonclient.grpc import InferInput, InferResult

from spatialreward.client.errors import WrongAnswer
from spatialreward.edits import Edit
from spatialreward.records import (
    REQUEST_TENSORS,
    RESPONSE_TENSORS,
    JudgeIdentity,
    Judgement,
    JudgingOptions,
    WireTensor,
)

# REWARD is rounded to 32 bits, JUDGEMENT is not.
_REWARD_TOLERANCE = 1e-5
_NUMPY_TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT64": np.int64}


def request_tensors(edits: Sequence[Edit], png: Callable[[Image.Image], bytes]) -> list[InferInput]:
    """The tensors that ask for these edits, which have the same number of sources.

    Optional ones are left out where no edit needs them.
    """
    columns = {
        "SOURCE": [[png(picture) for picture in edit.sources] for edit in edits],
        "EDITED": [[png(edit.edited)] for edit in edits],
        "INSTRUCTION": [[edit.instruction.encode()] for edit in edits],
    }
    columns |= _option_columns([edit.options for edit in edits])
    wires = {wire.name: wire for wire in REQUEST_TENSORS}
    return [_tensor(wires[name], column) for name, column in columns.items()]


def _option_columns(options: Sequence[JudgingOptions]) -> dict[str, list[list[bytes | int]]]:
    default = _option_row(JudgingOptions())
    rows = [_option_row(one) for one in options]
    return {
        name: [[row[name]] for row in rows]
        for name in default
        if any(row[name] != default[name] for row in rows)
    }


def _option_row(options: JudgingOptions) -> dict[str, bytes | int]:
    return {
        "STREAMS": options.streams.value.encode(),
        "REWARD_FROM": options.scores.value.encode(),
        "PRIORITY": options.priority,
        "SEED": -1 if options.seed is None else options.seed,
    }


def _tensor(wire: WireTensor, column: list[list[bytes]] | list[list[bytes | int]]) -> InferInput:
    values_BS = np.array(column, dtype=_NUMPY_TYPES[wire.datatype])
    tensor = InferInput(wire.name, values_BS.shape, wire.datatype)
    return tensor.set_data_from_numpy(values_BS)


def judgements_of(result: InferResult, number: int, where: str) -> list[Judgement]:
    """The judgements of an answer to ``number`` edits, in order.

    Raises:
        WrongAnswer: the answer breaks the contract; the message begins with ``where``.
    """
    tensors = {wire.name: _answered(result, wire, number, where) for wire in RESPONSE_TENSORS}
    return [
        _judgement({name: rows[row].ravel()[0] for name, rows in tensors.items()}, row, where)
        for row in range(number)
    ]


def _answered(result: InferResult, wire: WireTensor, number: int, where: str) -> np.ndarray:
    try:
        values = result.as_numpy(wire.name)
    except (ValueError, struct.error) as error:
        raise WrongAnswer(f"{where}: {wire.name} cannot be read: {error}") from error
    if values is None:
        raise WrongAnswer(f"{where}: {wire.name} is missing")
    expected = (number, *wire.dims)
    if values.shape != expected or values.dtype != _NUMPY_TYPES[wire.datatype]:
        raise WrongAnswer(
            f"{where}: {wire.name}: expected {wire.datatype} of shape {expected}, "
            f"got {values.dtype} of shape {values.shape}"
        )
    return values


def _judgement(row: dict[str, object], number: int, where: str) -> Judgement:
    try:
        judgement = Judgement.model_validate_json(row["JUDGEMENT"])
        served = JudgeIdentity(name=row["MODEL"].decode(), version=row["VERSION"].decode())
        status = row["STATUS"].decode()
    except (ValidationError, UnicodeDecodeError) as error:
        raise WrongAnswer(f"{where}: answer {number} is no judgement: {error}") from error
    if status != judgement.status or not _agree(row["REWARD"], judgement.reward):
        raise WrongAnswer(
            f"{where}: answer {number}: STATUS and REWARD are {status} and {row['REWARD']}, "
            f"JUDGEMENT says {judgement.status} and {judgement.reward}"
        )
    if judgement.judged_by:
        return judgement
    return judgement.model_copy(update={"judged_by": str(served)})


def _agree(told: float, reward: float | None) -> bool:
    if reward is None:
        return math.isnan(told)
    return math.isclose(told, reward, abs_tol=_REWARD_TOLERANCE)
