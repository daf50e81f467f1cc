"""What each process of ``test_ranks`` does: trains a small model, and saves what came of it.

``python ranks_worker.py OUT``, started by torchrun.
"""

import itertools
import sys
from pathlib import Path

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.protocol.prompts import TINY
from spatialreward.training.config import OptimiserConfig
from spatialreward.training.loop import batches_of, train
from spatialreward.training.ranks import ALONE, joined
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.shipped import SHIPPED_BASE
from spatialreward.world.targets import scene_examples

NUM_STEPS = 3
# Clipping would hide gradients that are summed instead of averaged.
CONFIG = OptimiserConfig(batch_size=4, warmup_steps=2, matrices="muon", max_gradient_norm=1e6)


def base():
    """The same weights every time; the shipped base is there already, a new one takes longer."""
    return checkpoint.load(SHIPPED_BASE, TINY.square_side)


def first_step(ranks=ALONE):
    """The gradients that reach the optimisers in a first step, and what was reported.

    Muon makes every singular value about 1, those that are rounding alone too: weights after a step
    of two processes and of one differ by more than their gradients do.
    """
    model, processor = base()
    gradients = {}

    def keep(optimiser, arguments, options):
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                gradients[name] = weight.grad.clone()

    hook = register_optimizer_step_pre_hook(keep)
    try:
        reports = _train(model, processor, ranks, num_steps=1)
    finally:
        hook.remove()
    return gradients, reports


def trained(ranks=ALONE, resume_file=None, stop_after=None):
    """Weights after a few steps from the same start, and what was reported."""
    model, processor = base()
    reports = _train(model, processor, ranks, NUM_STEPS, resume_file, stop_after)
    return model.state_dict(), reports


def _train(model, processor, ranks, num_steps, resume_file=None, stop_after=None):
    reports = []
    samples = draw_samples(DataConfig(seed=3), "train", 8)
    examples = scene_examples("semantic", samples, TINY)
    batches = itertools.cycle(batches_of("semantic", examples, 4))
    if stop_after is not None:
        batches = itertools.chain(itertools.islice(batches, stop_after), _killed())
    train(
        model,
        processor,
        batches,
        num_steps=num_steps,
        config=CONFIG,
        description="test",
        report=lambda metrics, step: reports.append((step, metrics)),
        resume_file=resume_file,
        keep_every=2,
        ranks=ranks,
    )
    return reports


def _killed():
    yield from ()
    raise KeyboardInterrupt


def main(out: Path) -> None:
    """Do a first step, then train twice, the second time with a kill in between."""
    with joined() as ranks:
        first = first_step(ranks)
        weights, reports = trained(ranks)
        state = out / "state.pt"
        try:
            trained(ranks, state, stop_after=2)
        except KeyboardInterrupt:
            resumed, _ = trained(ranks, state)
        told = ranks.from_first(f"by {ranks.rank}")
        result = {"weights": weights, "resumed": resumed, "reports": reports, "told": told}
        result |= {"first_step": first, "total": ranks.total(ranks.rank + 1)}
        torch.save(result, out / f"rank{ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
