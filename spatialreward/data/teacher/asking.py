"""From a question to an answer that can be used: the ledger first, then the server, patiently.

A request is sent until the server answers it; a question is put until its answer can be used. What
the server answered is on disk before anybody looks at it.
"""

import asyncio
import logging
import weakref

from tenacity import RetryCallState

from spatialreward.chat.endpoint import Endpoint
from spatialreward.chat.faults import ChatFault, ServerFault
from spatialreward.chat.patience import Pause, sending_again
from spatialreward.chat.reply import Reply
from spatialreward.data.teacher.answers import Answer, read_answer
from spatialreward.data.teacher.config import Structured, TeacherConfig
from spatialreward.data.teacher.faults import ASKED_AGAIN, BudgetSpent, TeacherFault
from spatialreward.data.teacher.ledger import Entry, Ledger, Paid
from spatialreward.data.teacher.limits import Rate
from spatialreward.data.teacher.prompts import AGAIN
from spatialreward.data.teacher.questions import Question, Request, estimated_tokens, request_for
from spatialreward.data.teacher.usage import Tally
from spatialreward.errors import SpatialRewardError

logger = logging.getLogger(__name__)


class Asker:
    """Asks one endpoint on one event loop, within the limits of one configuration."""

    def __init__(self, config: TeacherConfig, endpoint: Endpoint, ledger: Ledger) -> None:
        """Ask nothing yet."""
        self.config = config
        self._endpoint = endpoint
        self._ledger = ledger
        self._ways: dict[str, _Ways] = {}
        self._in_flight = asyncio.Semaphore(config.concurrency)
        self._requests = Rate(config.requests_per_minute)
        self._tokens = Rate(config.tokens_per_minute)
        self._pause = Pause()
        self._under_way: set[asyncio.Task[Entry]] = set()
        self._stop: SpatialRewardError | None = None
        self._locks: weakref.WeakValueDictionary[bytes, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    async def ask(self, question: Question[Answer], tally: Tally) -> Answer:
        """The first answer that can be used.

        Raises:
            ChatFault: there is none; all of them, and all that was tried, is in ``tally``.
            BudgetSpent: the next request would be beyond the budget.
            InvalidInputError: the server will answer nothing: see ``Endpoint.send``.
        """
        note = ""
        for number in range(1, self.config.max_answers + 1):
            request = request_for(question, number, note, self.config)
            entry = await self._answer_to(request, tally)
            try:
                answer = read_answer(entry.reply, question.form, self.config.language)
                question.check(answer)
            except TeacherFault as fault:
                tally.fault(fault.fault)
                is_last = number == self.config.max_answers
                if is_last or fault.fault not in ASKED_AGAIN:
                    raise
                logger.info("edit %s, %s: asking again, %s", question.edit, question.stage, fault)
                note = AGAIN.format(problem=fault.detail)
            else:
                return answer
        raise AssertionError("the last answer is returned, or its fault raised")

    async def finish(self) -> None:
        """Let the requests that are under way arrive: what is spent should be in the ledger."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _answer_to(self, request: Request, tally: Tally) -> Entry:
        # The same question twice at a time, of edits that differ by their ids alone, is paid once.
        lock = self._locks.setdefault(request.digest, asyncio.Lock())
        async with lock:
            for structured in ways_from(self.config.structured):
                if entry := self._ledger.find(request.key(structured)):
                    tally.add(from_ledger=1, paid_before=entry.paid.cost)
                    break
            else:
                entry = await self._pay(request, tally)
        tally.add(
            answers=1,
            prompt_tokens=entry.paid.prompt_tokens,
            completion_tokens=entry.paid.completion_tokens,
            estimated=int(entry.paid.estimated),
            cost=entry.paid.cost,
        )
        return entry

    async def _pay(self, request: Request, tally: Tally) -> Entry:
        again = sending_again(self.config, lambda state: self._before_sleep(state, request, tally))
        return await again(self._attempt, request, tally)

    async def _attempt(self, request: Request, tally: Tally) -> Entry:
        """Send a request once, or once in each way to ask for JSON until the server takes one."""
        ways = self._ways.setdefault(request.stage, _Ways(self.config.structured))
        refusal: ChatFault | None = None
        for structured in ways.open:
            try:
                entry = await self._send(request, structured, tally)
            except ChatFault as fault:
                if fault.fault is not ServerFault.REQUEST_REFUSED or ways.is_settled_on(structured):
                    tally.fault(fault.fault)
                    raise
                refusal = refusal or fault
                continue
            ways.settle_on(structured)
            return entry
        assert refusal is not None, "there is a way, and it was refused"
        tally.fault(refusal.fault)
        raise refusal

    async def _send(self, request: Request, structured: Structured, tally: Tally) -> Entry:
        """Send a request when its turn comes."""
        await self._requests.take(1)
        await self._tokens.take(request.estimated_prompt_tokens + self.config.max_tokens)
        async with self._in_flight:
            await self._pause.wait()
            self._check_budget()
            tally.add(calls=1)
            exchange = asyncio.create_task(self._exchange(request, structured))
            self._under_way.add(exchange)
            exchange.add_done_callback(self._under_way.discard)
            return await exchange

    async def _exchange(self, request: Request, structured: Structured) -> Entry:
        """Send a request now, and put down what comes back before anybody looks at it."""
        try:
            reply, tokens = await self._endpoint.send(request.body_with(structured))
        except ChatFault as fault:
            self._pause.extend_for(fault, self.config)
            raise
        except SpatialRewardError as error:
            # Those that wait for their turn need not be refused one by one.
            self._stop = error
            raise
        paid = self._paid(request, reply, tokens)
        entry = Entry(
            key=request.key(structured),
            stage=request.stage,
            edit=request.edit,
            reply=reply,
            paid=paid,
        )
        await asyncio.to_thread(self._ledger.append, entry)
        return entry

    def _paid(self, request: Request, reply: Reply, tokens: tuple[int, int] | None) -> Paid:
        prompt, completion = tokens or (
            request.estimated_prompt_tokens,
            estimated_tokens(reply.text or reply.refusal or ""),
        )
        return Paid(
            prompt_tokens=prompt,
            completion_tokens=completion,
            estimated=tokens is None,
            cost=self.config.cost(prompt, completion),
        )

    def _check_budget(self) -> None:
        if self._stop is not None:
            raise self._stop
        budget, ledger = self.config.budget, self._ledger
        if budget.tokens is not None and ledger.tokens >= budget.tokens:
            spent = f"{ledger.tokens:,} of {budget.tokens:,} tokens"
        elif budget.money is not None and ledger.cost >= budget.money:
            spent = f"{ledger.cost:.4f} of {budget.money:.4f}"
        else:
            return
        raise BudgetSpent(f"teacher: the budget of {ledger.path} is spent ({spent})")

    def _before_sleep(self, state: RetryCallState, request: Request, tally: Tally) -> None:
        tally.add(retries=1)
        logger.info(
            "edit %s, %s: %s; attempt %d of %d in %.2f s",
            request.edit,
            request.stage,
            state.outcome.exception(),
            state.attempt_number + 1,
            self.config.max_attempts,
            state.upcoming_sleep,
        )


class _Ways:
    """The ways to ask for JSON that a server may yet take.

    Servers refuse a way with a plain 400, which rarely says that it is about this (vLLM: "features
    not supported by xgrammar"). So one that has never been taken is given up for the next, and of
    one that has been taken a refusal is about the edit.
    """

    def __init__(self, strictest: Structured) -> None:
        self.open = ways_from(strictest)

    def is_settled_on(self, way: Structured) -> bool:
        """Whether the server has taken this one, or there is no other."""
        return self.open == (way,)

    def settle_on(self, way: Structured) -> None:
        """The server takes this one."""
        if len(self.open) > 1:
            if way is not self.open[0]:
                logger.warning("teacher: refuses %s, answers to %s", self.open[0], way)
            self.open = (way,)


def ways_from(strictest: Structured) -> tuple[Structured, ...]:
    """The ways to ask for JSON that a configuration allows, in any of which answers may be filed.

    An earlier run may have had to fall back, so all of them count when a ledger is looked at.
    """
    ways = tuple(Structured)
    return ways[ways.index(strictest) :]
