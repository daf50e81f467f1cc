"""Pretrains the tiny editor on edits of mixed quality, by flow matching.

It learns to do as the data set does, flaws included: some of its edits are right, some hit the
wrong object, overdo it or spoil the picture. That is what RL has to improve on.
"""

import itertools
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from spatialreward.data.samples import EditSample, count_samples, read_endlessly, read_samples
from spatialreward.editor.codec import reconstruction_loss
from spatialreward.editor.config import EditorPretrainingConfig
from spatialreward.editor.interface import EditTask
from spatialreward.editor.network import MIN_TIME_LEFT
from spatialreward.editor.tiny import TinyEditor
from spatialreward.progress import track
from spatialreward.training.loop import ReportMetrics
from spatialreward.training.optimisation import KeptState, Optimisation

logger = logging.getLogger(__name__)

_REPORT_EVERY = 50
_KEEP_EVERY = 250
_TIME_SPREAD = 1.2
_TOKENIZER_SAMPLES = 4_000


def pretrain_editor(
    config: EditorPretrainingConfig,
    data: Path,
    out: Path,
    report: ReportMetrics,
    *,
    resume_file: Path | None = None,
) -> None:
    """Write an editor's checkpoint.

    Args:
        config: network, how long to train, and how.
        data: folder of Parquet shards with edits.
        out: folder of the new checkpoint.
        report: gets the training metrics.
        resume_file: where the state is kept now and then, to go on after a kill.

    Raises:
        InvalidInputError: the data is no data set.
    """
    known = itertools.islice(read_samples(data), _TOKENIZER_SAMPLES)
    instructions = (sample.instruction for sample in known)
    editor = TinyEditor.untrained(config.network, instructions, config.seed)
    codec_file = resume_file.with_suffix(".codec.pt") if resume_file else None
    codec_seconds = _train_codec(editor, config, data, report, codec_file)
    average = torch.optim.swa_utils.AveragedModel(
        editor.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.decay)
    )
    size = config.optimiser.batch_size
    num_steps = config.num_samples // size
    optimisation = Optimisation(editor.network, config.optimiser, num_steps)
    state = KeptState(resume_file, [*optimisation.parts, average])
    first = state.restore()
    samples = itertools.islice(read_endlessly(data), first * size, None)
    batches = (list(itertools.islice(samples, size)) for _ in range(first, num_steps))
    losses: list[float] = []
    tracked = track(batches, total=num_steps - first, description="editor pretraining")
    for step, batch in enumerate(tracked, first + 1):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        with optimisation.precision("cpu"):
            loss = flow_matching_loss(editor, batch, config.median_time, generator)
        optimisation.update(loss)
        average.update_parameters(editor.network)
        losses.append(loss.item())
        if step % _REPORT_EVERY == 0 or step == num_steps:
            report({"loss/flow_matching": sum(losses) / len(losses)}, step)
            losses = []
        if step % _KEEP_EVERY == 0:
            state.keep(step)
    card = {
        "kind": "tiny flow-matching editor, pretrained on good and flawed edits",
        "num_training_edits": count_samples(data),
        "training": config.model_dump(),
        "training_minutes": round((codec_seconds + state.seconds) / 60, 1),
    }
    editor.network.load_state_dict(average.module.state_dict())
    editor.save(out, card)


def _train_codec(
    editor: TinyEditor,
    config: EditorPretrainingConfig,
    data: Path,
    report: ReportMetrics,
    resume_file: Path | None,
) -> float:
    """Fit the latents to the pictures of a data set, in place; returns the seconds it took."""
    size = config.codec_optimiser.batch_size
    num_steps = config.num_codec_samples // size
    editor.codec.train()
    optimisation = Optimisation(editor.codec, config.codec_optimiser, num_steps)
    state = KeptState(resume_file, optimisation.parts)
    first = state.restore()
    samples = itertools.islice(read_endlessly(data), first * size, None)
    batches = (list(itertools.islice(samples, size)) for _ in range(first, num_steps))
    tracked = track(batches, total=num_steps - first, description="latents")
    losses: list[float] = []
    for step, batch in enumerate(tracked, first + 1):
        pixels = editor.to_pixels([picture for sample in batch for picture in sample.images()])
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        with optimisation.precision("cpu"):
            loss = reconstruction_loss(editor.codec, pixels, config.latent_noise, generator)
        optimisation.update(loss)
        losses.append(loss.item())
        if step % _REPORT_EVERY == 0 or step == num_steps:
            report({"loss/reconstruction": sum(losses) / len(losses)}, step)
            losses = []
    editor.codec.eval()
    state.keep(num_steps)
    return state.seconds


def flow_matching_loss(
    editor: TinyEditor,
    samples: Sequence[EditSample],
    median_time: float,
    generator: torch.Generator,
) -> Tensor:
    """Squared error of the predicted finished latent, weighted up as the time goes on.

    The latent at time t lies on the straight line from noise (0) to data (1). The weight
    ``1 / (1 - t)`` stands between that of an error in the finished latent (1) and in the velocity
    (``1 / (1 - t)^2``).
    """
    pictures = [sample.images() for sample in samples]
    tasks = [
        EditTask(source, sample.instruction)
        for (source, _), sample in zip(pictures, samples, strict=True)
    ]
    condition = editor.encode(tasks)
    data_BCHW = editor.to_latents([edited for _, edited in pictures])
    noise_BCHW = torch.randn(data_BCHW.shape, generator=generator)
    logit = math.log(median_time / (1 - median_time))
    times_B = torch.sigmoid(_TIME_SPREAD * torch.randn(len(samples), generator=generator) + logit)
    blend = times_B[:, None, None, None]
    latents_BCHW = blend * data_BCHW + (1 - blend) * noise_BCHW
    finished_BCHW = editor.network(latents_BCHW, times_B, *condition)
    errors_B = (finished_BCHW.float() - data_BCHW).square().mean(dim=(1, 2, 3))
    return (errors_B / (1 - times_B).clamp(min=2 * MIN_TIME_LEFT)).mean()
