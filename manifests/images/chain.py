"""The pipeline's steps, each in its own container, with models that learn next to nothing.

S3 is the local stack's; MLflow and Triton are containers too. What one step answers the next one is
given, as the pipeline does it.
"""

import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from manifests.images.catalogue import IMAGES
from manifests.images.containers import Container, run, running, volume
from manifests.images.engine import Engine
from manifests.images.errors import ImageError
from spatialreward.stack import Service, StackConfig, environment, running_stack
from spatialreward.stack.launch import MLFLOW_HEALTH, TRITON_HEALTH
from spatialreward.stack.ports import LOOPBACK, free_ports
from spatialreward.stack.triton import restricted_by

logger = logging.getLogger(__name__)

_NAME = f"spatialreward-check-{os.getpid()}"
_MODELS = "/models"
_TAGS = {image.name: image.tag() for image in IMAGES}
_WORLD = {"num_train": 32, "num_heldout": 12, "num_shards": 1}
_NO_GATE = {"min_pairwise_accuracy": 0, "min_mean_iou": 0, "max_unparsable_share": 1}
_DENOISING = {"num_denoising_steps": 2}
_RL = {
    "num_steps": 2,
    "num_prompts": 2,
    "group_size": 2,
    "max_failed_share": 1,
    "sampling": _DENOISING,
}
_EDITOR = {
    "kind": "tiny",
    "pretraining": {
        "num_samples": 8,
        "stage_shares": [0.5],
        "optimiser": {"batch_size": 4},
        "codec": {"num_samples": 8, "optimiser": {"batch_size": 4}},
        "network": {"width": 48, "num_layers": 1, "num_heads": 2},
    },
}


class Result(NamedTuple):
    """How a step went."""

    image: str
    what: str
    passed: bool
    said: str


class StepFailed(ImageError):
    """A step did not end well; what follows from it is not run."""


class _Steps:
    """Runs steps in their containers, and notes how each went."""

    def __init__(self, engine: Engine, variables: dict[str, str], models: str) -> None:
        self._engine = engine
        self._variables = variables
        self._models = models
        self.results: list[Result] = []

    def __call__(self, image: str, command: str, config: object = None, **inputs: object) -> str:
        """Run a step; returns what it answers."""
        arguments = [command]
        if config is not None:
            arguments.append(f"--config={json.dumps(config)}")
        arguments += [f"--{name.replace('_', '-')}={value}" for name, value in inputs.items()]
        container = Container(
            _TAGS[image],
            arguments,
            variables=self._variables,
            volumes={self._models: _MODELS} if image == "reward-deployment" else {},
        )
        start = time.monotonic()
        try:
            answer = run(self._engine, container).strip().splitlines()[-1]
        except (ImageError, IndexError) as error:
            self.results.append(Result(image, command, False, f"FAILED: {error}"))
            raise StepFailed(f"{image}: {command}") from error
        said = f"{answer[:60]} ({time.monotonic() - start:.0f} s)"
        self.results.append(Result(image, command, True, said))
        logger.info("%s: %s: %s", image, command, said)
        return answer


def run_chain(engine: Engine) -> Iterator[Result]:
    """Run all steps; what fails is the last result."""
    with ExitStack() as stack:
        try:
            models = stack.enter_context(volume(engine, f"{_NAME}-models"))
            steps = _Steps(engine, _services(engine, models, stack), models)
        except ImageError as error:
            yield Result("mlflow and serving", "start", False, f"FAILED: {error}")
            return
        yield Result("mlflow", "serve", True, "healthy")
        yield Result("serving", "serve", True, "healthy")
        # What failed is among the results, with its reason.
        with suppress(StepFailed):
            run_steps(steps)
        yield from steps.results


def run_steps(steps: Callable[..., str]) -> None:
    """Run every step of the pipeline, in order.

    Args:
        steps: called with an image, a step, its settings and its inputs; says what it answers.
    """
    shard = steps("data-building", "build-shard", _WORLD, split="train", shard=0)
    heldout = steps("data-building", "build-shard", _WORLD, split="heldout", shard=0)
    data = steps("data-building", "merge-shards", shards=json.dumps([shard]))
    before = steps("rl-finetuning", "pretrain-editor", {"editor": _EDITOR}, data=data)
    drawing = {"num_edits": 4, "group_size": 2, "denoising": _DENOISING}
    config = {"drawing": drawing, "world": _WORLD}
    drawn = steps("rl-finetuning", "draw-edits", config, editor=before)
    # The shipped base knows how to answer, and must not forget it.
    optimiser = {"learning_rate": 1e-7, "batch_size": 4}
    training = {"num_samples": 4, "drawn_share": 0.5, "optimiser": optimiser}
    config = {"base": {"kind": "shipped"}, "training": training, "world": _WORLD}
    judge = steps("reward-training", "train-judge", config, data=data, drawn=drawn)
    evaluated = steps(
        "reward-evaluation", "evaluate-judge", {"world": _WORLD}, judge=judge, heldout=heldout
    )
    gate = {"gate": _NO_GATE}
    model = steps("reward-deployment", "register-judge", gate, judge=judge, evaluation=evaluated)
    served = steps("reward-deployment", "deploy-judge", model=model)
    config = {"rl": _RL, "world": _WORLD}
    after = steps("rl-finetuning", "finetune-editor", config, editor=before, served=served)
    evaluation = {
        "num_instructions": 4,
        "denoising": _DENOISING,
        "num_bootstrap_samples": 50,
    }
    config = {"evaluation": evaluation, "world": _WORLD}
    evaluated = steps(
        "editor-evaluation", "compare-editors", config, before=before, after=after, served=served
    )
    steps("editor-evaluation", "register-editor", {}, editor=after, evaluation=evaluated)


def _services(engine: Engine, models: str, stack: ExitStack) -> dict[str, str]:
    """S3 from this machine, MLflow and Triton from their images; returns where they are."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix=f"{_NAME}-")))
    config = StackConfig(state_dir=folder, without=frozenset({Service.MLFLOW, Service.TRITON}))
    variables = environment(stack.enter_context(running_stack(config)))
    free = stack.enter_context(free_ports())
    mlflow_port, http_port, grpc_port, metrics_port = (next(free) for _ in range(4))
    tracking_uri = f"http://{LOOPBACK}:{mlflow_port}"
    mlflow = _mlflow(mlflow_port, variables)
    stack.enter_context(running(engine, mlflow, f"{_NAME}-mlflow", tracking_uri + MLFLOW_HEALTH))
    ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
    key = secrets.token_hex(20)
    triton = _triton(ports, models, key)
    health = f"http://{LOOPBACK}:{http_port}{TRITON_HEALTH}"
    stack.enter_context(running(engine, triton, f"{_NAME}-serving", health))
    return variables | {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "TRITON_GRPC_URL": f"{LOOPBACK}:{grpc_port}",
        "TRITON_MODEL_REPOSITORY": _MODELS,
        "TRITON_REPOSITORY_KEY": key,
    }


def _mlflow(port: int, variables: dict[str, str]) -> Container:
    command = [
        "server",
        "--backend-store-uri=sqlite:////work/mlflow.db",
        "--artifacts-destination=s3://mlflow",
        "--serve-artifacts",
        f"--host={LOOPBACK}",
        f"--port={port}",
        "--workers=1",
    ]
    return Container(_TAGS["mlflow"], command, variables=variables)


def _triton(ports: dict[str, int], models: str, key: str) -> Container:
    command = [
        f"--model-repository={_MODELS}",
        "--model-control-mode=explicit",
        "--backend-config=python,stub-timeout-seconds=300",
        *restricted_by(key),
    ]
    for kind, port in ports.items():
        command += [f"--{kind}-address={LOOPBACK}", f"--{kind}-port={port}"]
    return Container(_TAGS["serving"], command, volumes={models: _MODELS})
