import io
import logging
import sys

import pytest

from spatialreward import progress
from spatialreward.progress import hide_loading_bars, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO, logger=progress.__name__)
    return caplog


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves by hand."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_items_come_through_in_order(log):
    assert list(track(iter("abc"), total=3, description="read")) == ["a", "b", "c"]


def test_a_terminal_gets_a_bar_and_no_log_lines(log, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(range(4), total=4, description="judge")) == [0, 1, 2, 3]
    assert "judge: 100%" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
    assert not log.messages


def test_a_log_gets_a_line_every_ten_seconds_with_the_time_left(log, clock):
    for _ in track(range(100), total=100, description="judge"):
        clock[0] += 1.0
    assert log.messages[0] == "judge:  10% 10/100 [00:10<01:30,  1.00it/s]"
    assert log.messages[-1] == "judge: 100% 100/100 [01:40<00:00,  1.00it/s]"
    assert len(log.messages) == 10


def test_quick_work_is_one_line(log, clock):
    list(track(range(1000), total=1000, description="read"))
    assert log.messages == ["read: 100% 1000/1000 [00:00<?, ?it/s]"]


def test_no_work_is_no_division_by_zero(log, clock):
    assert list(track([], total=0, description="read")) == []
    assert log.messages == ["read: 0it [00:00, ?it/s]"]


def test_an_error_in_the_loop_gets_out_and_nothing_claims_to_be_done(log):
    def fail_at_two():
        for number in track(range(4), total=4, description="judge"):
            if number == 2:
                raise RuntimeError("two")

    with pytest.raises(RuntimeError, match="two"):
        fail_at_two()
    assert not log.messages


def test_bars_of_loading_are_hidden_and_those_of_downloads_stay(capsys):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging as library

    library.enable_progress_bar()
    hide_loading_bars()
    assert list(library.tqdm([1, 2], desc="Loading weights")) == [1, 2]
    assert capsys.readouterr().err == ""
    assert not are_progress_bars_disabled()
