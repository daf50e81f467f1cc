import subprocess
import sys
import time

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


def test_it_watches_by_itself_and_passes_over_processes_that_ended():
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    with watched_memory(lambda: [gone.pid]) as peak:
        time.sleep(1.5)
    assert peak.peak_bytes > 10e6
