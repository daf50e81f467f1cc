import subprocess
import sys
import time

import psutil

from pipelines.memory import PeakMemory, watched_memory

HOLD = "data = bytearray(80_000_000); print('ready', flush=True); input()"


def test_what_children_hold_counts():
    peak = PeakMemory(tuple)
    peak.look()
    before = peak.peak_bytes
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    peak.look()
    child.communicate(b"\n")
    assert 80e6 < peak.peak_bytes - before < 150e6
    highest = peak.peak_bytes
    peak.look()
    assert peak.peak_bytes == highest


def test_it_watches_by_itself_and_passes_over_processes_that_ended(monkeypatch):
    monkeypatch.setattr("pipelines.memory._EVERY_S", 0.01)
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    with watched_memory(lambda: [gone.pid]) as peak:
        deadline = time.monotonic() + 300
        while not peak.peak_bytes and time.monotonic() < deadline:
            time.sleep(0.01)
    assert peak.peak_bytes > 10e6


def test_a_process_that_ends_while_it_is_looked_at_holds_nothing(monkeypatch):
    def refuse(_):
        raise psutil.AccessDenied

    def gone(_):
        raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    monkeypatch.setattr(psutil.Process, "memory_info", gone)
    peak = PeakMemory(tuple)
    peak.look()
    assert peak.peak_bytes == 0
