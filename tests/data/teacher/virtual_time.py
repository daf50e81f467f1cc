"""An event loop whose clock jumps to the next timer, so that minutes pass in no time."""

import asyncio
import selectors


class _NoWait(selectors.DefaultSelector):
    loop: "VirtualTimeLoop"

    def select(self, timeout=None):
        # A microsecond at least: a wait that rounds to nothing must not be one for ever.
        self.loop.now += max(timeout or 0.0, 1e-6)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Only for work that waits for timers alone."""

    def __init__(self):
        self.now = 1000.0
        selector = _NoWait()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now


def run(coroutine):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
