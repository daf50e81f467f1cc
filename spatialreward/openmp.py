"""How OpenMP's threads wait for each other in the processes that this project starts.

Images set the same in their environment, the Makefile for what it runs.
"""

import os

WAIT_ASLEEP = {"GOMP_SPINCOUNT": "0"}
"""Variables under which libgomp's threads sleep as soon as they wait. By default they spin, and
beside a busy neighbour a training takes ten times as long."""


def wait_asleep() -> None:
    """Have this process do so, unless its user says otherwise; to be called before torch loads."""
    for name, value in WAIT_ASLEEP.items():
        os.environ.setdefault(name, value)
