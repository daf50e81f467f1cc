"""Pretrains the tiny editor on edits of mixed quality, by flow matching.

It imitates the data set, flaws included: some of its edits are right, some hit the wrong object,
overdo it or spoil the picture. RL then has to improve them.
"""

import itertools
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.data.tasks import task_of
from spatialreward.errors import InvalidInputError
from spatialreward.progress import ReportMetrics, track
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.optimisation import KeptState, Optimisation
from spatialreward.world.editor_codec import reconstruction_loss
from spatialreward.world.editor_network import MIN_TIME_LEFT
from spatialreward.world.tiny_config import EditorPretrainingConfig
from spatialreward.world.tiny_editor import TinyEditor

_REPORT_EVERY = 50
_KEEP_EVERY = 250
_TIME_SPREAD = 1.2
_TOKENIZER_SAMPLES = 4_000
_STAGES = "stages"


def pretrain_editor(
    config: EditorPretrainingConfig,
    data: Dataset,
    out: Path,
    report: ReportMetrics,
    *,
    resume_file: Path | None = None,
) -> None:
    """Write an editor's checkpoint.

    Args:
        config: network, length and other settings.
        data: edits; drops those without an edited picture, and ignores labels.
        out: folder of the new checkpoint; it contains the configured earlier stages, see
            ``stages_of``.
        report: receives the training metrics.
        resume_file: for the periodic state, to resume after a kill.

    Raises:
        InvalidInputError: the data has no edited picture.
    """
    num_edits = data.count("extent")
    if not num_edits:
        raise InvalidInputError(
            f"{data}: 0 of {len(data)} edits have an edited picture to train an editor on"
        )
    known = itertools.islice(_with_edited_picture(data), _TOKENIZER_SAMPLES)
    instructions = (edit.instruction for edit in known)
    editor = TinyEditor.untrained(config.network, instructions, config.seed)
    codec_seconds = _fit(
        editor.codec.train(),
        lambda edits, generator: _codec_loss(editor, edits, config, generator),
        config.codec.num_samples,
        config.codec.optimiser,
        data,
        _Reporting("reconstruction", report, config.seed),
        resume_file.with_suffix(".codec.pt") if resume_file else None,
    )
    editor.codec.eval()
    card = {
        "kind": "tiny flow-matching editor, pretrained on good and flawed edits",
        "num_training_edits": num_edits,
        "training": config.model_dump(),
    }
    # Beside the state: a resumed attempt must find the earlier stages.
    stages = resume_file.with_suffix(".stages") if resume_file else out / _STAGES
    average = _average_of(editor, config, stages, card)
    seconds = _fit(
        editor.network,
        lambda edits, generator: flow_matching_loss(editor, edits, config.median_time, generator),
        config.num_samples,
        config.optimiser,
        data,
        _Reporting("flow_matching", report, config.seed),
        resume_file,
        average,
    )
    minutes = {"training_minutes": round((codec_seconds + seconds) / 60, 1)}
    editor.with_network(average.model.module).save(out, card | minutes)
    if config.stage_steps and stages != out / _STAGES:
        shutil.copytree(stages, out / _STAGES, dirs_exist_ok=True)


def stages_of(editor: Path) -> list[Path]:
    """The checkpoints of one pretraining, from the earliest stage to the final editor."""
    return [*sorted((editor / _STAGES).glob("*")), editor]


class _Average(NamedTuple):
    """The running average of a network, with a hook for some of the steps."""

    model: torch.optim.swa_utils.AveragedModel
    stages: Mapping[int, Callable[[], None]]


def _average_of(
    editor: TinyEditor, config: EditorPretrainingConfig, stages: Path, card: Mapping[str, object]
) -> _Average:
    """The average of an editor's network, saved in a folder of ``stages`` per stage."""
    model = torch.optim.swa_utils.AveragedModel(
        editor.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.decay)
    )

    def keep(step: int) -> None:
        folder = stages / f"{step:08d}"
        editor.with_network(model.module).save(folder, {**card, "stopped_after_step": step})

    return _Average(model, {step: partial(keep, step) for step in config.stage_steps})


class _Reporting(NamedTuple):
    """Name, metrics callback and noise seed of a training."""

    loss: str
    report: ReportMetrics
    seed: int


def _fit(
    part: torch.nn.Module,
    loss_of: Callable[[Sequence[LabelledEdit], torch.Generator], Tensor],
    num_samples: int,
    config: OptimiserConfig,
    data: Dataset,
    reporting: _Reporting,
    resume_file: Path | None,
    average: _Average | None = None,
) -> float:
    """Train one part of an editor in place; returns the seconds over all its runs."""
    num_steps = num_samples // config.batch_size
    optimisation = Optimisation(part, config, num_steps)
    state = KeptState(resume_file, [*optimisation.parts, *([average.model] if average else [])])
    first = state.restore()
    rounds = (_with_edited_picture(data) for _ in itertools.count())
    endless = itertools.chain.from_iterable(rounds)
    edits = itertools.islice(endless, first * config.batch_size, None)
    batches = (list(itertools.islice(edits, config.batch_size)) for _ in range(first, num_steps))
    losses: list[float] = []
    tracked = track(batches, total=num_steps - first, description=f"editor, {reporting.loss} loss")
    for step, batch in enumerate(tracked, first + 1):
        generator = torch.Generator().manual_seed(reporting.seed * 1_000_003 + step)
        with optimisation.precision("cpu"):
            loss = loss_of(batch, generator)
        optimisation.update(loss)
        if average:
            average.model.update_parameters(part)
            if take := average.stages.get(step):
                take()
        losses.append(loss.item())
        if step % _REPORT_EVERY == 0 or step == num_steps:
            reporting.report({f"loss/{reporting.loss}": sum(losses) / len(losses)}, step)
            losses = []
        if step % _KEEP_EVERY == 0 or step == num_steps:
            state.keep(step)
    return state.seconds


def _with_edited_picture(data: Dataset) -> Iterator[LabelledEdit]:
    return (edit for edit in data if edit.edited is not None)


def _codec_loss(
    editor: TinyEditor,
    edits: Sequence[LabelledEdit],
    config: EditorPretrainingConfig,
    generator: torch.Generator,
) -> Tensor:
    pictures = [one for edit in edits for one in (edit.source_images()[0], edit.edited_image())]
    pixels = editor.to_pixels(pictures)
    return reconstruction_loss(editor.codec, pixels, config.codec.latent_noise, generator)


def flow_matching_loss(
    editor: TinyEditor,
    edits: Sequence[LabelledEdit],
    median_time: float,
    generator: torch.Generator,
) -> Tensor:
    """Squared error of the predicted finished latent, with a weight that grows over time.

    The latent at time t lies on the straight line from noise (0) to data (1). The weight
    ``1 / (1 - t)`` lies between that of an error in the finished latent (1) and in the velocity
    (``1 / (1 - t)^2``).
    """
    condition = editor.encode([task_of(edit) for edit in edits])
    data_BCHW = editor.to_latents([edit.edited_image() for edit in edits])
    noise_BCHW = torch.randn(data_BCHW.shape, generator=generator)
    logit = math.log(median_time / (1 - median_time))
    times_B = torch.sigmoid(_TIME_SPREAD * torch.randn(len(edits), generator=generator) + logit)
    blend = times_B[:, None, None, None]
    latents_BCHW = blend * data_BCHW + (1 - blend) * noise_BCHW
    finished_BCHW = editor.network(latents_BCHW, times_B, *condition)
    errors_B = (finished_BCHW.float() - data_BCHW).square().mean(dim=(1, 2, 3))
    return (errors_B / (1 - times_B).clamp(min=2 * MIN_TIME_LEFT)).mean()
