import os
import signal
import sys

import psutil
import pytest
from kfp import compiler, dsl

from pipelines.graph import GraphError, _group, run_graph


@dsl.component(base_image="spatialreward/test", install_kfp_package=False)
def shout(words: str) -> str:
    import logging
    import time

    logging.basicConfig(format="12:00:00 shout: %(message)s", level=logging.INFO, force=True)
    logging.getLogger("shout").info("shouting")
    if words == "fail":
        raise SystemExit("error: no voice")
    if words == "slowly":
        time.sleep(10)
        logging.getLogger("shout").info("out of breath")
    return words.upper()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    @dsl.pipeline(name="shouting")
    def shouting(words: str) -> str:
        return shout(words=words).output

    path = tmp_path_factory.mktemp("graph") / "pipeline.yaml"
    compiler.Compiler().compile(shouting, str(path))
    return path


def test_a_graph_answers_and_shows_our_lines_only(pipeline, tmp_path, capfd):
    answers = run_graph(pipeline, {"words": "hello"}, tmp_path / "run", os.environ, 1)
    assert list(answers.values()) == ["HELLO"]
    shown = capfd.readouterr().err
    assert "12:00:00 shout: shouting\n" in shown
    assert "KFP Executor" not in shown
    assert "KFP Executor" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "tmp").exists()


def test_a_step_that_fails_is_told_in_its_own_words_and_ends_the_graph(tmp_path):
    @dsl.pipeline(name="failing")
    def failing() -> str:
        shout(words="fail")
        return shout(words="slowly").output

    pipeline = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(failing, str(pipeline))
    with pytest.raises(GraphError, match=r"^no voice$"):
        run_graph(pipeline, {}, tmp_path / "run", os.environ, 2)
    log = (tmp_path / "run" / "log.txt").read_text()
    # kfp runs steps that do not need each other in any order.
    before, failure, after = log.partition("FAILURE")
    assert "shout: shouting" in before
    assert failure
    assert "out of breath" not in after


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


def test_nothing_of_a_graph_outlives_an_interrupt(monkeypatch):
    monkeypatch.setattr("pipelines.graph._GRACE_S", 0.5)
    pids = []

    def interrupted():
        with _group([sys.executable, "-c", STUBBORN], os.environ) as process:
            pids.extend([process.pid, int(process.stdout.readline())])
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert not any(map(is_at_work, pids))


@dsl.component(base_image="spatialreward/test", install_kfp_package=False)
def close_run(status: dsl.PipelineTaskFinalStatus, words: str) -> str:
    import logging

    logging.basicConfig(format="12:00:00 close-run: %(message)s", level=logging.INFO, force=True)
    logging.getLogger("close").info("%s: %s", words, status.state)
    return status.state


@pytest.mark.parametrize(("words", "state"), [("fail", "FAILED"), ("hello", "SUCCEEDED")])
def test_the_last_step_is_told_how_the_others_ended_and_nothing_else_runs_after_a_failure(
    words, state, tmp_path, capfd
):
    @dsl.pipeline(name="inside")
    def inside() -> str:
        with dsl.ParallelFor([words, "one"]) as word:
            first = shout(words=word)
        first.set_retry(3, backoff_duration="60s")
        return shout(words="late").after(first).output

    @dsl.pipeline(name="closing")
    def closing() -> str:
        work = inside()
        close_run(words="ended").after(work).ignore_upstream_failure()
        return work.output

    pipeline = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(closing, str(pipeline))
    if state == "FAILED":
        with pytest.raises(GraphError, match=r"^no voice$"):
            run_graph(pipeline, {}, tmp_path / "run", os.environ, 3)
    else:
        answers = run_graph(pipeline, {}, tmp_path / "run", os.environ, 3)
        assert list(answers.values()) == ["LATE"]
    shown = capfd.readouterr().err
    assert shown.count("close-run: ended: ") == 1
    assert f"12:00:00 close-run: ended: {state}\n" in shown
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Retrying" not in log
    assert "UserWarning" not in log
