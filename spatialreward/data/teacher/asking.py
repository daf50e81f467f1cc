"""From a question to a usable answer: from the ledger, or else from the server.

The server's answer is in the ledger before its form is checked; an unusable answer leads to another
question, which says what was wrong.
"""

import asyncio
import functools
import logging
import weakref

from spatialreward.chat.endpoint import Answered, Endpoint
from spatialreward.chat.faults import ChatFault, ServerFault
from spatialreward.data.teacher.answers import Answer, read_answer
from spatialreward.data.teacher.config import Structured, TeacherConfig
from spatialreward.data.teacher.faults import ASKED_AGAIN, BudgetSpent
from spatialreward.data.teacher.ledger import Entry, Ledger
from spatialreward.data.teacher.limits import Rate
from spatialreward.data.teacher.prompts import AGAIN
from spatialreward.data.teacher.questions import Question, Request, estimated_tokens, request_for
from spatialreward.data.teacher.usage import Tally

logger = logging.getLogger(__name__)


class Asker:
    """Asks one server on one event loop, within the limits of one configuration."""

    def __init__(self, config: TeacherConfig, ledger: Ledger) -> None:
        """Ask nothing yet.

        Raises:
            InvalidInputError: the key is not set.
        """
        self.config = config
        self._ledger = ledger
        requests = Rate(config.requests_per_minute)
        self._endpoint = Endpoint(config, before_attempt=functools.partial(requests.take, 1))
        self._tokens = Rate(config.tokens_per_minute)
        self._in_flight = asyncio.Semaphore(config.concurrency)
        self._ways: dict[str, tuple[Structured, ...]] = {}
        self._locks: weakref.WeakValueDictionary[bytes, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    async def ask(self, question: Question[Answer], tally: Tally) -> Answer:
        """The first usable answer.

        Raises:
            ChatFault: there is none; all answers, retries and faults are in ``tally``.
            BudgetSpent: the next request would be beyond the budget.
            InvalidInputError: the server will answer nothing: see ``Endpoint.send``.
        """
        note = ""
        for number in range(1, self.config.max_answers + 1):
            request = request_for(question, number, note, self.config)
            try:
                entry = await self._answer_to(request, tally)
                answer = read_answer(entry.reply, question.form, self.config.language)
                question.check(answer)
            except ChatFault as fault:
                tally.fault(fault.fault)
                attempt = f"answer {number} of {self.config.max_answers}"
                logger.info("edit %s, %s, %s: %s", question.edit, question.stage, attempt, fault)
                if number == self.config.max_answers or fault.fault not in ASKED_AGAIN:
                    raise
                note = AGAIN.format(problem=fault.detail)
            else:
                return answer
        raise AssertionError("the last answer is returned, or its fault raised")

    async def finish(self) -> None:
        """Wait until the requests under way are answered and committed; send no other."""
        for _ in range(self.config.concurrency):
            await self._in_flight.acquire()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._endpoint.close()

    async def _answer_to(self, request: Request, tally: Tally) -> Entry:
        # Edits that differ by their ids alone have the same question, which is paid once.
        lock = self._locks.setdefault(request.digest, asyncio.Lock())
        async with lock:
            for structured in ways_from(self.config.structured):
                if entry := self._ledger.find(request.key(structured)):
                    tally.add(from_ledger=1, paid_before=entry.cost)
                    break
            else:
                entry = await self._pay(request, tally)
        tally.add(
            answers=1,
            prompt_tokens=entry.prompt_tokens,
            completion_tokens=entry.completion_tokens,
            estimated=int(entry.estimated),
            cost=entry.cost,
        )
        return entry

    async def _pay(self, request: Request, tally: Tally) -> Entry:
        """Send a request in each way to ask for JSON until the server takes one.

        Servers refuse a way with a plain 400, which rarely says that it is about this (vLLM:
        "features not supported by xgrammar"). So a way that was never accepted gives way to the
        next, and after one was accepted a refusal is about the edit.
        """
        first_refusal: ChatFault | None = None
        ways = self._ways.setdefault(request.stage, ways_from(self.config.structured))
        for structured in ways:
            try:
                entry = await self._send(request, structured, tally)
            except ChatFault as fault:
                is_settled = self._ways[request.stage] == (structured,)
                if fault.fault is not ServerFault.REQUEST_REFUSED or is_settled:
                    raise
                first_refusal = first_refusal or fault
                continue
            if structured is not ways[0]:
                logger.warning("teacher: refuses %s, answers to %s", ways[0], structured)
            self._ways[request.stage] = (structured,)
            return entry
        assert first_refusal is not None, "there is a way, and it was refused"
        raise first_refusal

    async def _send(self, request: Request, structured: Structured, tally: Tally) -> Entry:
        """Send a request when its turn comes, and commit its answer before the turn ends."""
        await self._tokens.take(request.estimated_prompt_tokens + self.config.max_tokens)
        async with self._in_flight:
            self._check_budget()
            try:
                answered = await self._endpoint.send(request.body_with(structured))
            except ChatFault as fault:
                tally.add(calls=1 + fault.retries, retries=fault.retries)
                raise
            tally.add(calls=1 + answered.retries, retries=answered.retries)
            entry = self._entry(request, structured, answered)
            await asyncio.to_thread(self._ledger.append, entry)
        return entry

    def _entry(self, request: Request, structured: Structured, answered: Answered) -> Entry:
        prompt, completion = answered.tokens or (
            request.estimated_prompt_tokens,
            estimated_tokens(answered.reply.words),
        )
        return Entry(
            key=request.key(structured),
            stage=request.stage,
            edit=request.edit,
            reply=answered.reply,
            prompt_tokens=prompt,
            completion_tokens=completion,
            estimated=answered.tokens is None,
            cost=self.config.cost(prompt, completion),
        )

    def _check_budget(self) -> None:
        budget, ledger = self.config.budget, self._ledger
        if budget.tokens is not None and ledger.tokens >= budget.tokens:
            spent = f"{ledger.tokens:,} of {budget.tokens:,} tokens"
        elif budget.money is not None and ledger.cost >= budget.money:
            spent = f"{ledger.cost:.4f} of {budget.money:.4f}"
        else:
            return
        raise BudgetSpent(f"teacher: the budget of {ledger.path} is spent ({spent})")


def ways_from(strictest: Structured) -> tuple[Structured, ...]:
    """The ways to ask for JSON that a configuration allows; an answer may be filed under any.

    An earlier run may have had to fall back, so all of them count in a search of the ledger.
    """
    ways = tuple(Structured)
    return ways[ways.index(strictest) :]
