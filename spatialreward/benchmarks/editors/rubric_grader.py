"""A model behind an address as a grader with ImgEdit-Bench's own prompts."""

import functools
from collections.abc import Sequence

from spatialreward.benchmarks.editors.graders import AsksAgain
from spatialreward.benchmarks.editors.interface import Grade
from spatialreward.benchmarks.editors.rubric import ASKED, Rubric
from spatialreward.chat.faults import ChatFault
from spatialreward.chat.keys import key_of
from spatialreward.chat.reply import Reply
from spatialreward.edits import Edit
from spatialreward.errors import JudgementError
from spatialreward.judges.interface import Tokens
from spatialreward.judges.openai_asking import (
    Asker,
    Silence,
    Spent,
    ask_all,
    failure_of,
    longest_answer,
    whole_text,
)
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.questions import Question
from spatialreward.protocol.prompts import Slot, fill
from spatialreward.records import JudgeIdentity, Judgement


class RubricGrader(AsksAgain):
    """A model behind an address, with ImgEdit-Bench's prompts."""

    def __init__(self, config: OpenAiConfig, rubric: Rubric, num_retries: int) -> None:
        """Configure; sends no request yet.

        Args:
            config: model, address and sampling.
            rubric: its prompts.
            num_retries: for an unreadable answer.

        Raises:
            InvalidInputError: the key is not set.
        """
        super().__init__(num_retries)
        key_of(config)
        self._config = config
        self._rubric = rubric
        self._silence = Silence(config)
        self._spent = Spent()
        self.notice = (
            f"the numbers of ImgEdit-Bench's own prompts as {config.name} wrote them; which "
            "weights answer there is not known"
        )
        self.identity = JudgeIdentity(
            name=config.name,
            version=config.changes,
            weights="unknown",
            protocol=rubric.reference,
            aggregation="mean of criteria",
        )

    @property
    def tokens(self) -> Tokens:
        """See ``Metered``."""
        return self._spent.tokens

    def _attempt(self, edits: Sequence[Edit]) -> list[Grade]:
        asking = [
            functools.partial(self._grade_one, edit=edit, name=f"edit {edit.id or number}")
            for number, edit in enumerate(edits)
        ]
        return ask_all(self._config, ASKED, self._spent, asking)

    async def _grade_one(self, asker: Asker, edit: Edit, name: str) -> Grade:
        written: tuple[str, ...] = ()
        try:
            reply = await self._ask(asker, edit)
            written = (reply.words,)
            limit = longest_answer(self._config, ASKED)
            criteria = self._rubric.read_answer(whole_text(reply, "answer", limit))
        except JudgementError as error:
            failed = Judgement.failed(f"{name}: {error}", error.failure)
            return Grade(judgement=failed, criteria=(), answers=(written,))
        return Grade(criteria=criteria, answers=(written,))

    async def _ask(self, asker: Asker, edit: Edit) -> Reply:
        """The answer.

        Raises:
            JudgementError: the server gave none.
        """
        prompt = self._rubric.prompt(edit.operation, edit.instruction)
        pictures = {Slot.SOURCE: (edit.source,), Slot.EDITED: (edit.edited,)}
        question = Question(
            fill(ASKED.semantic_parts(prompt), pictures), edit.options.seed, in_words=True
        )
        try:
            reply = await asker.ask(question)
        except ChatFault as fault:
            self._silence.note([fault])
            raise JudgementError(str(fault), failure_of(fault)) from fault
        self._silence.note([reply])
        return reply
