"""TRL's ``GRPOTrainer`` with our rewards, exact masks, a divergence limit, and our names.

TRL counts a reward of None as 0 beside others. Here the mask is per answer: without a reply of the
consistency judge, every one of the answer's rewards is None, which TRL handles correctly: its
advantage is 0, and no group's mean includes it.
"""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback
from trl import GRPOTrainer

from spatialreward.errors import SpatialRewardError
from spatialreward.progress import ReportMetrics
from spatialreward.protocol.prompts import Protocol
from spatialreward.training import rewards
from spatialreward.training.consistency import ConsistencyJudge, Reasoned
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.training.grpo_prompts import Asked, GrpoPrompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import GRPOConfig

    from spatialreward.training.trl_processor import TrlProcessor

logger = logging.getLogger(__name__)

_OURS = {
    "kl": "kl",
    "entropy": "entropy",
    "masked_share": "masked_share",
    "step_time": "seconds/step",
    "seconds/consistency": "seconds/consistency",
    "reward": "reward/all",
    "reward_std": "reward/std",
    "frac_reward_zero_std": "reward/groups_alike",
    "completions/mean_length": "answer/tokens",
    "completions/clipped_ratio": "answer/cut_off",
    "loss": "loss/all",
    "learning_rate": "optimiser/learning_rate",
    "grad_norm": "optimiser/gradient_norm",
}
"""TRL's metric names and ours."""


class MaskedError(SpatialRewardError, RuntimeError):
    """No answer of several steps has a reward."""


class Judged(NamedTuple):
    """Inputs of the rewards."""

    config: GrpoConfig
    protocol: Protocol
    consistency: ConsistencyJudge | None
    """None if that reward is disabled."""


class GrpoTrainer(GRPOTrainer):
    """Trains a judge on its own answers."""

    def __init__(
        self,
        model: "PreTrainedModel",
        arguments: "GRPOConfig",
        prompts: GrpoPrompts,
        processor: "TrlProcessor",
        judged: Judged,
        *,
        report: ReportMetrics,
        callbacks: list[TrainerCallback],
    ) -> None:
        """Set up a training.

        Args:
            model: prepared, see ``tuning.prepare``.
            arguments: TRL's settings.
            prompts: in order.
            processor: see ``trl_processor``.
            judged: inputs of the rewards.
            report: receives the metrics, in the first process.
            callbacks: the Trainer's.
        """
        self._prompts = prompts
        self._judged = judged
        self._names = list(judged.config.rewards.used)
        self._report = report
        self._steps_without_reward = 0
        self.kl_of_step: list[float] = []
        """Of the current step's parts."""
        super().__init__(
            model,
            # TRL names its metrics after these; all are computed at once below.
            reward_funcs=[_named(name) for name in self._names],
            args=arguments,
            train_dataset=_rows(prompts),
            processing_class=processor,
            callbacks=callbacks,
        )
        if "ref" in getattr(model, "peft_config", {}):
            # A copy of an untrained LoRA: without a LoRA the judge is the same.
            model.delete_adapter("ref")

    def create_model_card(self, *args: Any, **more: Any) -> None:
        """Skip TRL's model card for states: the judge gets our card."""

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: Any,
        completions: Any,
        completion_ids_list: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        """Rewards ``[B, R]`` of the answers of all processes; a row of NaN masks it.

        Raises:
            MaskedError: no answer of several steps has a reward.
        """
        asked = [row["asked"] for row in inputs]
        answers = [
            rewards.read_answer(
                self._tokenizer.decode(ids, skip_special_tokens=True),
                len(ids),
                one.known.stream,
                self._judged.protocol,
            )
            for one, ids in zip(asked, completion_ids_list, strict=True)
        ]
        columns = self._columns(asked, answers)
        of_all = self.accelerator.gather(
            torch.tensor(
                [
                    [_number(columns[name][row]) for name in self._names]
                    for row in range(len(asked))
                ],
                device=self.accelerator.device,
            ).reshape(len(asked), len(self._names))
        )
        is_masked = self.accelerator.gather(
            torch.tensor(columns["masked"], device=self.accelerator.device)
        )
        of_all[is_masked] = torch.nan
        self._count_masked(is_masked)
        return of_all

    def _columns(
        self, asked: Sequence[Asked], answers: Sequence[rewards.ReadAnswer]
    ) -> dict[str, list[Any]]:
        """This process's rewards by name, and which answers are masked."""
        known = [one.known for one in asked]
        both = list(zip(answers, known, strict=True))
        columns: dict[str, list[Any]] = {
            "form": [rewards.form(one) for one in answers],
            "iou": [rewards.iou(one, about) for one, about in both],
            "agreement": [rewards.agreement(one, about) for one, about in both],
            "length": [rewards.length(one, self.max_completion_length) for one in answers],
            "repetition": [rewards.repetition(one) for one in answers],
            "masked": [False] * len(answers),
        }
        if "order" in self._names:
            columns["order"] = self._orders(both)
        if self._judged.consistency is not None:
            given = self._consistency(self._judged.consistency, asked, answers)
            columns["consistency"] = given
            columns["masked"] = [value is None for value in given]
        return columns

    def _orders(
        self, both: Sequence[tuple[rewards.ReadAnswer, rewards.Known]]
    ) -> list[float | None]:
        """Compare with the answers of all processes."""
        aggregation = self._judged.protocol.aggregation
        own = [
            (rewards.overall(one, about.stream, aggregation), about.place) for one, about in both
        ]
        start = len(own) * self.accelerator.process_index
        of_all = gather_object(own)
        found = rewards.orders([value for value, _ in of_all], [place for _, place in of_all])
        return found[start : start + len(own)]

    def _consistency(
        self, judge: ConsistencyJudge, asked: Sequence[Asked], answers: Sequence[rewards.ReadAnswer]
    ) -> list[float | None]:
        """Ratings of the consistency judge; 0 without a request for unreadable answers."""
        start = time.perf_counter()
        readable = [row for row, one in enumerate(answers) if one.answer is not None]
        said = judge.judge(
            [
                Reasoned(
                    asked[row].pictures,
                    asked[row].known.stream,
                    asked[row].instruction,
                    answers[row].answer,
                )
                for row in readable
            ]
        )
        given: list[float | None] = [0.0] * len(answers)
        for row, value in zip(readable, said, strict=True):
            given[row] = value
        self._metrics["train"]["seconds/consistency"].append(time.perf_counter() - start)
        return given

    def _count_masked(self, is_masked: torch.Tensor) -> None:
        self._metrics["train"]["masked_share"].append(is_masked.float().mean().item())
        self._steps_without_reward = self._steps_without_reward + 1 if is_masked.all() else 0
        most = self._judged.config.max_masked_steps
        if self._steps_without_reward >= most:
            raise MaskedError(
                f"step {self.state.global_step + 1}: the consistency judge "
                f"{self._judged.config.consistency_judge} gave no valid rating for "
                f"{most} steps; see the log for what it said instead"
            )

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        self.kl_of_step.append(self._metrics["train"]["kl"][-1])
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Report under our names."""
        if "loss" not in logs:
            return
        names = {f"rewards/{name}/mean": f"reward/{name}" for name in self._names} | _OURS
        values = {name: _mean(values) for name, values in self._metrics["train"].items()} | logs
        self._metrics["train"].clear()
        if self.is_world_process_zero():
            metrics = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
            self._report(metrics, self.state.global_step)


def _named(name: str) -> Any:
    def reward(**columns: Any) -> list[float]:
        raise AssertionError("rewards are computed together")

    reward.__name__ = name
    return reward


def _rows(prompts: GrpoPrompts) -> Any:
    """The prompts in TRL's format, each built when its step comes."""
    from datasets import Dataset as Rows

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        asked = [prompts[number] for number in columns["number"]]
        return {
            "prompt": [[one.message] for one in asked],
            "images": [one.pictures for one in asked],
            "asked": asked,
        }

    return Rows.from_dict({"number": range(len(prompts))}).with_transform(read)


def _number(reward: float | None) -> float:
    return torch.nan if reward is None else reward


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
