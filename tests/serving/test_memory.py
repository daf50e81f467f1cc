"""What a server has freed goes back to the system."""

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from spatialreward.serving.memory import Trimmer

MB = 2**20


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="no other C library has malloc_trim"
)


@only_glibc
def test_holes_in_the_heap_are_given_back():
    trimmer = Trimmer(1e-9)
    blocks = [np.ones(64 * 1024, np.uint8) for _ in range(4000)]
    # The last block holds the heap's top in place: all that is below it is a hole.
    last = blocks.pop()
    blocks.clear()
    full = resident_bytes()
    assert trimmer.trim_when_due()
    assert full - resident_bytes() > 100 * MB
    assert last.sum() == len(last)


@only_glibc
def test_it_happens_no_more_often_than_asked_for():
    now = [0.0]
    trimmer = Trimmer(5.0, lambda: now[0])
    times = []
    for second in range(12):
        now[0] = float(second)
        times += [second] if trimmer.trim_when_due() else []
    assert times == [5, 10]


def test_never_is_never():
    trimmer = Trimmer(0.0, lambda: 1e9)
    assert not trimmer.trim_when_due()
