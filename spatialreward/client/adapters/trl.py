"""The served judge as a reward function of TRL's ``GRPOTrainer`` (github.com/huggingface/trl).

An edit that is not there or cannot be judged gets None, which TRL takes for "not applicable". In
1.10 a completion without any reward has no advantage; in older versions its reward was 0.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from spatialreward.client.adapters.rewards import with_shared_pictures
from spatialreward.client.asynchronous import AsyncTritonJudge
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import Judging
from spatialreward.records import Judgement, Record

logger = logging.getLogger(__name__)

Draw = Callable[[Any, Mapping[str, Any]], Image.Image | None]
"""The edited picture for a completion and the columns of its row; None if there is none."""
Rewards = list[float | None]


class Columns(Record):
    """Where a row has what is to be judged."""

    source: str = "source"
    """Column of the source picture, or of a list of source pictures."""
    instruction: str = "instruction"
    """Column of the text that says what was to be edited."""
    edited: str = "edited"
    """Column of the edited picture; unused where a function draws it."""


def trl_reward(
    judge: Judging,
    columns: Columns | None = None,
    draw: Draw | None = None,
    name: str = "spatialreward",
) -> Callable[..., Rewards]:
    """A reward function that judges the edits which completions lead to.

    Args:
        judge: the one to ask.
        columns: the columns of the data set; None: those that ``Columns`` has by default.
        draw: makes the edited picture from a completion; None: it is in a column.
        name: what TRL's metrics call the reward.
    """
    columns = columns or Columns()

    def reward(*, completions: Sequence[Any], log_metric: Any = None, **rows: Any) -> Rewards:
        edits = _edits(completions, rows, columns, draw)
        judgements = judge.judge([edit for edit in edits if edit])
        return _rewards(edits, judgements, log_metric, name)

    reward.__name__ = name
    return reward


def async_trl_reward(
    judge: AsyncTritonJudge,
    columns: Columns | None = None,
    draw: Draw | None = None,
    name: str = "spatialreward",
) -> Callable[..., Awaitable[Rewards]]:
    """As ``trl_reward``, as a coroutine function, which TRL runs beside others of its kind."""
    columns = columns or Columns()

    async def reward(*, completions: Sequence[Any], log_metric: Any = None, **rows: Any) -> Rewards:
        edits = _edits(completions, rows, columns, draw)
        judgements = await judge.judge([edit for edit in edits if edit])
        return _rewards(edits, judgements, log_metric, name)

    reward.__name__ = name
    return reward


def _edits(
    completions: Sequence[Any], rows: Mapping[str, Any], columns: Columns, draw: Draw | None
) -> list[Edit | None]:
    wanted = [columns.source, columns.instruction, *([] if draw else [columns.edited])]
    if missing := [column for column in wanted if column not in rows]:
        raise InvalidInputError(f"reward function: columns {missing} missing, got {sorted(rows)}")
    edits = []
    for number, completion in enumerate(completions):
        row = {name: column[number] for name, column in rows.items() if isinstance(column, list)}
        edited = draw(completion, row) if draw else row[columns.edited]
        source = row[columns.source]
        is_there = edited is not None and source is not None
        edits.append(_edit(number, source, edited, row[columns.instruction]) if is_there else None)
    return _with_shared_pictures(edits)


def _edit(number: int, source: Any, edited: Image.Image, instruction: str) -> Edit | None:
    """One row should not end a training: what cannot be judged has no reward."""
    try:
        return Edit(source, edited, instruction)
    except InvalidInputError as error:
        logger.warning("completion %d has no reward: %s", number, error)
        return None


def _with_shared_pictures(edits: Sequence[Edit | None]) -> list[Edit | None]:
    shared = iter(with_shared_pictures([edit for edit in edits if edit]))
    return [next(shared) if edit else None for edit in edits]


def _rewards(
    edits: Sequence[Edit | None],
    judgements: Sequence[Judgement],
    log_metric: Callable[[str, float], None] | None,
    name: str,
) -> Rewards:
    answers = iter(judgements)
    rewards = [next(answers).reward if edit else None for edit in edits]
    if log_metric:
        # Always, since TRL wants every process to log the same names.
        log_metric(f"{name}/without_reward", rewards.count(None) / max(1, len(rewards)))
    return rewards
