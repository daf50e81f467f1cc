import os
import signal
import sys
import time

import psutil
import pytest
from kfp import compiler, dsl

from pipelines.graph import GraphError, _group, run_graph


@dsl.component(base_image="spatialreward/test", install_kfp_package=False)
def shout(words: str) -> str:
    from spatialreward.cli.container import run_as_task
    from tests.pipelines.shouting import app

    return run_as_task(app, "shout", words=words)


@dsl.component(base_image="spatialreward/test", install_kfp_package=False)
def close_run(status: dsl.PipelineTaskFinalStatus, words: str) -> str:
    from spatialreward.cli.container import run_as_task
    from tests.pipelines.shouting import app

    return run_as_task(app, "close-run", always=True, words=f"{words}: {status.state}")


@dsl.component(base_image="spatialreward/test", install_kfp_package=False)
def misspelt() -> str:
    from tests.pipelines.shouting import no_such_name

    return no_such_name


def compiled(pipeline, folder):
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


def test_a_graph_answers_and_shows_what_steps_tell_only(tmp_path, capfd):
    @dsl.pipeline(name="shouting")
    def shouting(words: str) -> str:
        return shout(words=words).output

    pipeline = compiled(shouting, tmp_path)
    answers = run_graph(pipeline, {"words": "hello"}, tmp_path / "run", os.environ, 1)
    assert list(answers.values()) == ["HELLO"]
    shown = capfd.readouterr().err
    assert " shout: shouting\n" in shown
    assert "KFP Executor" not in shown
    assert "KFP Executor" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "tmp").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fail", "no voice"),
        ("crash", "ZeroDivisionError: division by zero"),
        ("die", "ended without a word: its process was killed, for lack of memory perhaps"),
    ],
)
def test_a_step_that_fails_is_named_in_its_own_words_and_ends_the_graph(words, said, tmp_path):
    @dsl.pipeline(name="failing")
    def failing() -> str:
        first = shout(words=words)
        close_run(words="ended").after(first).ignore_upstream_failure()
        # kfp begins what does not need the step that failed.
        return shout(words="late").after(first).ignore_upstream_failure().output

    log = tmp_path / "run" / "log.txt"
    with pytest.raises(GraphError) as caught:
        run_graph(compiled(failing, tmp_path), {}, tmp_path / "run", os.environ, 2)
    assert str(caught.value) == f"step shout failed: {said} (log: {log})"
    text = log.read_text()
    assert "shout: not begun, since shout has failed" in text
    assert text.count(" shout: shouting\n") == 1


def test_a_step_that_cannot_say_what_it_failed_of_is_in_the_log(tmp_path):
    @dsl.pipeline(name="failing")
    def failing() -> str:
        return misspelt().output

    with pytest.raises(GraphError, match=r"process ended with status 1 \(log: .*log\.txt\)$"):
        run_graph(compiled(failing, tmp_path), {}, tmp_path / "run", os.environ, 1)
    assert "no_such_name" in (tmp_path / "run" / "log.txt").read_text()


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_at_work(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_of_a_graph_outlives_an_interrupt(monkeypatch, tmp_path):
    monkeypatch.setattr("pipelines.graph._GRACE_S", 0.5)
    log = tmp_path / "log.txt"
    pids = []

    def interrupted():
        with _group([sys.executable, "-c", STUBBORN], os.environ, log) as process:
            while not log.read_text().endswith("\n"):
                time.sleep(0.05)
            pids.extend([process.pid, int(log.read_text())])
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert not any(map(is_at_work, pids))


@pytest.mark.parametrize(("words", "state"), [("fail", "FAILED"), ("hello", "SUCCEEDED")])
def test_the_last_step_is_reported_how_the_others_ended_and_nothing_else_runs_after_a_failure(
    words, state, tmp_path, capfd
):
    @dsl.pipeline(name="inside")
    def inside() -> str:
        with dsl.ParallelFor([words, "one"]) as word:
            first = shout(words=word)
        return shout(words="late").after(first).output

    @dsl.pipeline(name="closing")
    def closing() -> str:
        work = inside()
        close_run(words="ended").after(work).ignore_upstream_failure()
        return work.output

    pipeline = compiled(closing, tmp_path)
    if state == "FAILED":
        with pytest.raises(GraphError, match=r"^step shout failed: no voice \("):
            run_graph(pipeline, {}, tmp_path / "run", os.environ, 3)
    else:
        answers = run_graph(pipeline, {}, tmp_path / "run", os.environ, 3)
        assert list(answers.values()) == ["LATE"]
    shown = capfd.readouterr().err
    assert shown.count("close-run: ended: ") == 1
    assert f" close-run: ended: {state}\n" in shown
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "UserWarning" not in log
