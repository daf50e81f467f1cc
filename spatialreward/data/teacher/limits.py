"""How fast a server may be asked."""

from aiolimiter import AsyncLimiter

_BURST_SHARE = 10


class Rate:
    """At most so much in any minute, a tenth of it at once; None: as much as one likes.

    The bucket is refilled with the other nine tenths in a minute, so that not even the first minute
    of a run exceeds what a server counts.
    """

    def __init__(self, per_minute: int | None) -> None:
        """Begin with a full allowance."""
        self._limiter = None
        if per_minute is not None:
            self._at_once = max(1, per_minute // _BURST_SHARE)
            refill_a_minute = max(per_minute - self._at_once, 1)
            self._limiter = AsyncLimiter(self._at_once, 60 * self._at_once / refill_a_minute)

    async def take(self, amount: int) -> None:
        """Wait until so much more is allowed; amounts beyond a tenth of a minute's take longer."""
        while self._limiter is not None and amount > 0:
            part = min(amount, self._at_once)
            await self._limiter.acquire(part)
            amount -= part
