"""A remote model that rates how well a judge's reasoning fits the pictures.

The rubrics are our own. Without a reply that is a number in 0..1 there is no reward, and the caller
drops that answer.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

from spatialreward.chat.faults import ChatFault
from spatialreward.chat.keys import key_of
from spatialreward.chat.reply import Reply
from spatialreward.errors import Failure, JudgementError
from spatialreward.judges.openai_asking import (
    Asker,
    Silence,
    Spent,
    ask_all,
    longest_answer,
    whole_text,
)
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.questions import Question
from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer, answer_value
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Streams

logger = logging.getLogger(__name__)

KEY = "consistency"
_LONGEST_REPLY = 1024
"""Default limit; a judge's own may be far too short for another model."""
_ANSWER = (
    'Answer with one JSON object: {"reasoning": "what you found, in a few sentences", '
    f'"{KEY}": a number from 0 to 1}}. 1: every statement holds and nothing of weight is missing. '
    "0.5: about half of what matters is right. 0: the text is about something else, or contradicts "
    "what can be seen."
)
_SEMANTIC = (
    "An image editor was given this instruction:\n{instruction}\n\nThe last picture is what it "
    "made; the pictures before it are its sources. A judge of edits wrote:\n{reasoning}\n"
    "and gave {scores} of 25 points: first for carrying the instruction out, then for leaving "
    "all else alone.\n\nCheck the text against the pictures, statement by statement:\n"
    "- Is each change that it names really there, at that place, with those details?\n"
    "- Does it miss a change, one that was asked for or one that was not?\n"
    "- Does it call unasked what the instruction needs, or the other way round?\n"
    "- Does it contradict itself?\n"
    "- Do the points follow from the text? Praise goes with more than 20, a failed edit with few.\n"
    "You do not judge the edit, only what was written about it. "
)
_PERCEPTUAL = (
    "A judge of how natural a picture looks, and how free of artifacts it is, wrote about this "
    "picture:\n{reasoning}\n\nCheck the text against the picture, statement by statement:\n"
    "- Is each fault that it names really there? Blur in the background, soft focus and grain are "
    "no broken anatomy.\n"
    "- Does it miss a fault that is plain to see, in faces, hands, edges, patterns or letters?\n"
    "- Does it contradict itself, or talk of what the picture does not show?\n"
    "You do not judge the picture, only what was written about it. "
)


class Reasoned(NamedTuple):
    """An answer of the trained judge, with its subject."""

    pictures: Sequence[Image.Image]
    """As the question showed them."""
    stream: Streams
    instruction: str
    """Empty in the PQ stream."""
    answer: SemanticAnswer | PerceptualAnswer


class ConsistencyJudge:
    """Rates a batch of answers, with the settings' limit on parallel requests."""

    def __init__(self, config: OpenAiConfig, protocol: Protocol) -> None:
        """Configure; sends no request yet.

        Args:
            config: model, address and sampling.
            protocol: of the trained judge; gives the size of the pictures.

        Raises:
            InvalidInputError: the key is not set.
        """
        key_of(config)
        self._config = config.model_copy(update={"max_tokens": config.max_tokens or _LONGEST_REPLY})
        self._protocol = protocol
        self._silence = Silence(config)
        self._spent = Spent()

    def judge(self, answers: Sequence[Reasoned]) -> list[float | None]:
        """Consistency of each answer, 0..1; None without a valid reply, whose reason is logged.

        Raises:
            InvalidInputError: the server refuses the key, lacks the model, or redirects.
            ServerAway: ``give_up_after`` answers in a row got no reply.
        """
        asking = [functools.partial(self._ask, about=one) for one in answers]
        replies = ask_all(self._config, self._protocol, self._spent, asking)
        return [self._read(reply) for reply in replies]

    async def _ask(self, asker: Asker, about: Reasoned) -> Reply | ChatFault:
        try:
            reply: Reply | ChatFault = await asker.ask(_question(about))
        except ChatFault as fault:
            reply = fault
        self._silence.note([reply])
        return reply

    def _read(self, reply: Reply | ChatFault) -> float | None:
        limit = longest_answer(self._config, self._protocol)
        try:
            if isinstance(reply, ChatFault):
                raise JudgementError(str(reply), Failure.JUDGE_FAILED)
            return _consistency(whole_text(reply, KEY, limit))
        except JudgementError as error:
            logger.info("%s: no reward; dropping the answer: %s", self._config.name, error)
            return None


def _question(about: Reasoned) -> Question:
    reasoning = about.answer.reasoning
    if about.stream is Streams.PERCEPTUAL:
        text = _filled(_PERCEPTUAL, reasoning=reasoning)
    else:
        scores = " and ".join(f"{score:g}" for score in about.answer.score)
        text = _filled(_SEMANTIC, instruction=about.instruction, reasoning=reasoning, scores=scores)
    return Question((*about.pictures, text + _ANSWER))


def _filled(template: str, **values: str) -> str:
    """Fill a template with values that may contain braces."""
    pieces = template.split("{")
    text = pieces[0]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}")
        text += values[name] + rest
    return text


def _consistency(text: str) -> float:
    """The number in a reply.

    Raises:
        JudgementError: there is none from 0 to 1.
    """
    value: Any = answer_value(text, set())
    number = value.get(KEY) if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise JudgementError(f"{KEY}: expected a number from 0 to 1, got {number!r}")
    return float(number)
