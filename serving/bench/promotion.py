"""``python -m serving.bench.promotion``: a promotion under load, against a restart.

Everything is real and on this machine: the registry, the deployer's process, the commands that a
person types, Triton, and clients that never pause. The baseline is what one does without a
deployer: stop Triton, put the new model in the old one's place, start it.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from spatialreward.cli.command import SingleCommand, configure_logging
from spatialreward.figures import Figure

SEED = 4
MAX_SECONDS = 60.0
_FOLDER = Path("build/bench-promotion")
_JUDGE_FOLDER = Path("build/bench-serving")
_NAME = "spatial-reward"
_PROGRAM = "from spatialreward.cli.main import main; main()"
_PATIENCE_S = 600.0
_POLL_S = 0.1
# The gate has no requirements, because nothing is claimed about the judges here.
_GATE = (
    "min_pairwise_accuracy = 0\nmin_mean_iou = 0\nmax_unparsable_share = 1\n"
    "gain_ci95_low_above = -1\n"
)
_FIGURES = {"pairwise_accuracy": 0.0, "mean_iou": 0.0, "unparsable_share": 1.0}

app = typer.Typer(pretty_exceptions_enable=False)


class Answer(NamedTuple):
    """Result of one client request."""

    at: float
    """End, by ``time.monotonic``."""
    took_s: float
    judged_by: str
    """Empty after an error."""
    error: str


class Clients:
    """Clients that send one edit after another without pauses."""

    def __init__(self, endpoint: str, edits: Sequence, number: int) -> None:
        """Configure; sends no request yet."""
        self._endpoint = endpoint
        self._edits = edits
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(one,)) for one in range(number)]
        self.answers: list[Answer] = []

    def __enter__(self) -> "Clients":
        """Start sending."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Let every client finish its request."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: float) -> list[Answer]:
        """The answers after a moment."""
        return [one for one in list(self.answers) if one.at > moment]

    def _ask(self, first: int) -> None:
        from spatialreward.client import ServingError, TritonJudge
        from spatialreward.records import JudgeIdentity

        turn = first
        with TritonJudge(self._endpoint) as judge:
            while not self._over.is_set():
                edit = self._edits[turn % len(self._edits)]
                turn += 1
                sent = time.monotonic()
                try:
                    line = judge.judge([edit])[0].judged_by
                    judged_by, error = JudgeIdentity.name_in(line), ""
                except ServingError as failure:
                    judged_by, error = "", str(failure)
                now = time.monotonic()
                self.answers.append(Answer(now, now - sent, judged_by, error))


@app.command(cls=SingleCommand)
def main(
    judge: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Checkpoint. Without it a tiny one is trained."),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, help="Clients that ask all the time.")] = 2,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure from `promote` to the first judgement by the new version; writes promotion.json."""
    configure_logging(verbose=verbose)
    from serving.bench.judge import bench_judge
    from serving.bench.workload import groups
    from spatialreward.figures import figures_console, figures_table, write_figures

    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    checkpoint = judge or bench_judge(_JUDGE_FOLDER)
    judges = _judges(checkpoint, _FOLDER / "judges")
    edits = [edit for group in groups(4, 3, seed=SEED) for edit in group]
    baseline = _restart(judges, edits, clients)
    figures = _promotion(judges, edits, clients, baseline)
    path = write_figures("promotion", figures, seeds={"workload": SEED})
    figures_console().print(figures_table("promotion", figures, baseline="restart"))
    typer.echo(f"written to {path}")


class Baseline(NamedTuple):
    """A restart of Triton with the new model in the old one's place."""

    seconds: float
    """From the stop to the first judgement."""
    failed: int
    longest_s: float
    """Longest wait of a client for an answer or an error."""


def _restart(judges: Mapping[str, Path], edits: Sequence, clients: int) -> Baseline:
    from serving.bench.triton import TEMPLATE
    from spatialreward.ops.deployment.repository import write_repository
    from spatialreward.ops.deployment.server import Server
    from spatialreward.stack import Ports, Service, StackConfig, down, read_endpoints, up

    config = StackConfig(
        state_dir=_FOLDER / "restarted", without=frozenset({Service.S3, Service.MLFLOW})
    )
    try:
        triton = up(config).triton
        assert triton is not None
        repository = triton.model_repository
        write_repository(str(judges["first"]), repository, template=TEMPLATE)
        Server(triton.grpc, triton.repository_key).load("judge")
        # The new server has the old one's address.
        numbers = [address.rpartition(":")[2] for address in (triton.http, triton.grpc)]
        ports = Ports(triton_http=int(numbers[0]), triton_grpc=int(numbers[1]))
        with Clients(triton.grpc, edits, clients) as asking:
            _wait(lambda: any(one.judged_by for one in asking.answers), "the first judge answers")
            start = time.monotonic()
            down(config.state_dir)
            write_repository(str(judges["second"]), repository, template=TEMPLATE)
            stopped = time.monotonic()
            triton = up(config.model_copy(update={"ports": ports})).triton
            assert triton is not None
            Server(triton.grpc, triton.repository_key).load("judge")
            _wait(lambda: any(one.judged_by for one in asking.since(stopped)), "it answers again")
        answered = min(one.at for one in asking.since(stopped) if one.judged_by)
        during = [one for one in asking.since(start) if one.at <= answered]
    finally:
        if read_endpoints(config.state_dir):
            down(config.state_dir)
    return Baseline(
        answered - start,
        sum(bool(one.error) for one in during),
        max(one.took_s for one in during),
    )


def _promotion(
    judges: Mapping[str, Path], edits: Sequence, clients: int, baseline: Baseline
) -> list[Figure]:
    from spatialreward.stack import StackConfig, environment, running_stack

    with running_stack(StackConfig(state_dir=_FOLDER / "stack")) as endpoints:
        os.environ.update(environment(endpoints))
        os.environ["SPATIALREWARD_CACHE"] = str(_FOLDER.absolute() / "cache")
        triton = endpoints.triton
        assert triton is not None
        versions = {name: _register(folder) for name, folder in judges.items()}
        with _deployer(edits), Clients(triton.grpc, edits, clients) as asking:
            _promote(versions["first"])
            first = _served_as(versions["first"])
            _wait(lambda: first in {one.judged_by for one in asking.answers}, "version 1 answers")
            # Before the first version is served, no client gets an answer.
            begun = time.monotonic()
            for name in ("broken", "silent"):
                _promote(versions[name])
                _wait(lambda name=name: _tag(versions[name], "serving"), f"{name} is refused")
                _wait(lambda: _champion() == versions["first"], "the alias is given back")
            start = time.monotonic()
            _promote(versions["second"])
            second = _served_as(versions["second"])
            _wait(lambda: second in {one.judged_by for one in asking.answers}, "version 2 answers")
        answers = asking.since(begun)
    seconds = min(one.at for one in answers if one.judged_by == second) - start
    failing = [one for one in answers if one.judged_by not in ("", first, second)]
    return [
        Figure.at_most(
            "promotion/first_judgement_s",
            seconds,
            MAX_SECONDS,
            unit="s",
            baseline=baseline.seconds,
        ),
        Figure.at_most(
            "promotion/failed_requests",
            sum(bool(one.error) for one in answers),
            0,
            baseline=baseline.failed,
        ),
        Figure(
            name="promotion/longest_wait_s",
            value=max(one.took_s for one in answers),
            unit="s",
            baseline=baseline.longest_s,
        ),
        Figure.at_most("promotion/answered_by_a_failing_version", len(failing), 0),
        Figure(name="promotion/requests", value=len(answers)),
    ]


def _judges(checkpoint: Path, folder: Path) -> dict[str, Path]:
    """Four checkpoints: two good ones, one that lacks a tensor, and one without judgements.

    The second one has the first one's weights, but another card, and so another checksum.
    """
    from safetensors.torch import load_file, save_file

    from spatialreward.judges.qwen_vl import checkpoint as checkpoints
    from spatialreward.judges.qwen_vl.weights import WEIGHTS_FILE
    from spatialreward.protocol.prompts import Protocol
    from spatialreward.world.config import DataConfig
    from spatialreward.world.untrained_judge import untrained_tiny

    made = {name: folder / name for name in ("first", "broken", "silent", "second")}
    for name in ("first", "broken", "second"):
        shutil.copytree(checkpoint, made[name])
    card = made["second"] / "card.json"
    card.write_text(card.read_text().rstrip() + "\n\n")
    tensors = load_file(checkpoint / WEIGHTS_FILE)
    del tensors[min(tensors)]
    save_file(tensors, made["broken"] / WEIGHTS_FILE)
    protocol = Protocol.read(checkpoint)
    model, processor = untrained_tiny(SEED, DataConfig(seed=SEED))
    checkpoints.save(made["silent"], model, processor.following(protocol), {}, protocol)
    return made


def _register(folder: Path) -> int:
    from spatialreward.benchmarks.evidence import BenchmarkEvidence, PromptValues
    from spatialreward.benchmarks.report import EvaluationReport, store_report
    from spatialreward.figures import commit, versions
    from spatialreward.ops.registry import register_model, set_evaluation
    from spatialreward.ops.tracking import open_run
    from spatialreward.storage import BUCKET, ObjectStore

    store = ObjectStore.from_environment()
    store.ensure_bucket(BUCKET)
    ref = store.put_folder(folder, f"s3://{BUCKET}/artifacts/bench")
    # Some judges cannot be measured, so their report has no figures.
    nothing = BenchmarkEvidence(
        benchmark="world",
        digest="0" * 64,
        num_edits=1,
        num_failed=1,
        figures={"pairwise_accuracy": PromptValues(prompts=("none",), values=(0.0,))},
    )
    report = EvaluationReport(
        kind="judge",
        checkpoint_sha256=ref.sha256,
        inputs={},
        settings={},
        commit=commit(),
        library=versions()["spatialreward"],
        figures=_FIGURES,
        benchmarks=(nothing,),
    )
    with open_run(f"bench {folder.name}") as tracker:
        model = register_model(_NAME, ref, str(tracker.run_id))
    set_evaluation(model, store_report(store, report), _FIGURES)
    return model.version


@contextmanager
def _deployer(edits: Sequence) -> Iterator[None]:
    """The deployer as a process of its own."""
    from serving.bench.triton import TEMPLATE

    # A few edits suffice, and a random judge is slow.
    probes = _write_edits(edits[:4], _FOLDER / "probes")
    options = ["--backend=local", "--port=0", f"--template={TEMPLATE}", f"--probe-edits={probes}"]
    with (_FOLDER / "deployer.log").open("wb") as log:
        command = [sys.executable, "-c", _PROGRAM, "deploy", "watch"]
        process = subprocess.Popen([*command, *options], stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _write_edits(edits: Sequence, folder: Path) -> Path:
    import json

    folder.mkdir(parents=True)
    lines = []
    for number, edit in enumerate(edits):
        names = {"source": f"{number}-source.png", "edited": f"{number}-edited.png"}
        edit.source.save(folder / names["source"])
        edit.edited.save(folder / names["edited"])
        lines.append(json.dumps({"id": str(number), "instruction": edit.instruction} | names))
    path = folder / "edits.jsonl"
    path.write_text("\n".join(lines))
    return path


def _promote(version: int) -> None:
    """Run the user's command, including its start-up."""
    gate = _FOLDER / "gate.toml"
    gate.write_text(_GATE)
    options = [f"--version={version}", f"--gate={gate}", "--yes", "--reason=bench"]
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, "promote", "judge", *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _served_as(version: int) -> str:
    _wait(lambda: _tag(version, "serving") == "served", f"version {version} is served")
    return _tag(version, "served_as")


def _champion() -> int:
    from spatialreward.ops.registry import CHAMPION, aliases_of

    return aliases_of(_NAME)[CHAMPION].version


def _tag(version: int, tag: str) -> str:
    from spatialreward.ops.registry import model_tags

    return model_tags(f"models:/{_NAME}/{version}").get(tag, "")


def _wait(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit(f"timed out waiting for: {what}")
        time.sleep(_POLL_S)


if __name__ == "__main__":
    app()
