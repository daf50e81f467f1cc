"""The served judge in place of the reward client of EditScore's RL example.

(github.com/VectorSpaceLab/EditScore, examples/OmniGen2-RL.) Calls and results have the shape which
that training loop knows, but pictures travel as PNG over gRPC, not as pickles, and ``proxy_host``
and ``proxy_port`` are a Triton server.

That loop turns rewards into advantages over a group's mean, so a NaN would spoil its whole group.
Hence an edit that cannot be judged raises ``JudgementError``, and a server that cannot be asked
``ServingError``; neither becomes a reward of 0, and the result is never None.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from PIL import Image

from spatialreward.client.adapters.rewards import judge_all
from spatialreward.client.errors import ServingError
from spatialreward.client.triton import TritonJudge
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json
from spatialreward.records import Judgement

Evaluation = tuple[list[float], list[float], list[str], list[dict[str, Any]]]
"""Scores (1 if the reward is half or more, else 0), rewards 0 to 1, reasoning, metadata."""
Picture = Image.Image | bytes

_REDRAWS = 2


class RewardClient:
    """Judges edits; the arguments are those of EditScore's class of this name."""

    def __init__(
        self,
        proxy_host: str = "127.0.0.1",
        proxy_port: int = 23456,
        timeout: float = 300,
        max_retries: int = 3,
    ) -> None:
        """Connect when first used.

        Args:
            proxy_host: a Triton server, or several with commas between them; one that has a port
                of its own (``a:8001,b:8001``) keeps it.
            proxy_port: the gRPC port of the others.
            timeout: seconds that one request may take.
            max_retries: how often a request is offered to the servers.
        """
        hosts = [host.strip() for host in proxy_host.split(",")]
        endpoints = [host if ":" in host else f"{host}:{proxy_port}" for host in hosts]
        self._judge = TritonJudge(endpoints, timeout_s=timeout, attempts=max_retries)

    def evaluate(
        self,
        input_images: Sequence[Sequence[Picture]],
        output_image: Sequence[Picture],
        meta_datas: Sequence[str | Mapping[str, Any]],
        server_type: str = "vlm",
    ) -> Evaluation:
        """Judge edits.

        Args:
            input_images: source pictures of each edit.
            output_image: edited picture of each edit.
            meta_datas: an object with an ``instruction`` for each edit, as JSON or as a mapping.
            server_type: has no effect, there is one judge.

        Raises:
            InvalidInputError: an edit has no instruction or no source picture, or one of them
                cannot be used.
            JudgementError: an edit was not judged.
            ServingError: the judge could not be asked.
        """
        metadata = [_metadata(meta, index) for index, meta in enumerate(meta_datas)]
        edits = [
            Edit(list(sources), edited, meta["instruction"])
            for sources, edited, meta in zip(input_images, output_image, metadata, strict=True)
        ]
        judgements = judge_all(self._judge, edits, _REDRAWS)
        rewards = [judgement.reward for judgement in judgements]
        scores = [1.0 if reward >= 0.5 else 0.0 for reward in rewards]
        return scores, rewards, [_reasoning(judgement) for judgement in judgements], metadata

    def ping(self) -> bool:
        """Whether the judge can be asked."""
        try:
            self._judge.check()
        except ServingError:
            return False
        return True

    def close(self) -> None:
        """Let go of the connections."""
        self._judge.close()

    def __enter__(self) -> Self:
        """The client itself; it is closed at the end of the ``with`` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        self.close()


def evaluate_images(
    input_images: Sequence[Sequence[Picture]],
    output_image: Sequence[Picture],
    meta_datas: Sequence[str | Mapping[str, Any]],
    proxy_host: str = "127.0.0.1",
    proxy_port: int = 23456,
    server_type: str = "vlm",
) -> Evaluation:
    """Judge edits once; see ``RewardClient``."""
    with RewardClient(proxy_host, proxy_port, timeout=600, max_retries=6) as client:
        return client.evaluate(input_images, output_image, meta_datas, server_type)


def _metadata(meta: str | Mapping[str, Any], index: int) -> dict[str, Any]:
    try:
        known = parse_json(meta) if isinstance(meta, str) else dict(meta)
    except InvalidInputError as error:
        raise InvalidInputError(f"meta_datas {index}: {error}") from error
    if "instruction" not in known:
        raise InvalidInputError(f"meta_datas {index}: instruction missing, got {sorted(known)}")
    return known | {"original_index": index}


def _reasoning(judgement: Judgement) -> str:
    scores = judgement.scores.model_dump_json(exclude_none=True)
    return f"{judgement.sc_reasoning}\n{judgement.pq_reasoning}\n{scores}"
