"""Every algorithm on a batch of edits that an editor of two numbers has drawn."""

import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import roll_out_from
from spatialreward.rl.algorithms.config import (
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.algorithms.interface import Advantages, Batch, Models
from spatialreward.rl.algorithms.load import load_algorithm
from spatialreward.rl.config import RlConfig
from spatialreward.rl.seeds import generator, normal_like
from spatialreward.rl.weights import MovingAverage, TrainedWeights
from tests.rl.linear import LinearEditor, Rows

STEPS = SamplingConfig(num_denoising_steps=5, stochastic_share=0.6)
ALGORITHMS = {
    "flow_grpo": FlowGrpoSettings(clip_low=0.01, clip_high=0.05),
    "tempflow": FlowGrpoSettings(clip_low=0.01, clip_high=0.05, step_weights="noise"),
    "guard": GuardSettings(clip_range=0.01),
    "flow_dppo": FlowDppoSettings(max_divergence=0.01),
    "nft": NftSettings(strength=0.5, kl_weight=0.1),
    "awm": AwmSettings(clip_range=0.01, kl_weight=0.2),
    "awm_huber": AwmSettings(clip_range=0.01, weighting="huber"),
    "awm_generalised_huber": AwmSettings(clip_range=0.01, weighting="generalised_huber"),
}
OF_EDITS = torch.tensor([1.2, -0.7, 0.4, -2.0], dtype=torch.float64)
COUNTS = torch.ones(4, dtype=torch.bool)


class Setting:
    """An algorithm, what it compares, and a batch of four edits that its policy has drawn."""

    def __init__(self, settings, sampling=STEPS):
        self.config = RlConfig(algorithm=settings, sampling=sampling)
        self.editor = LinearEditor()
        weights = TrainedWeights(self.editor.trainable())
        self.average = MovingAverage(weights, 0.9)
        self.models = Models(self.editor, self.editor.reference(), self.average)
        self.algorithm = load_algorithm(self.config, weights)
        condition = Rows(range(4))
        start = self.editor.noise(condition, generator(3))
        generators = [generator(seed) for seed in range(4)]
        rollout = roll_out_from(
            self.editor,
            condition,
            sampling,
            start,
            lambda latents: normal_like(latents, generators).double(),
            plan=self.algorithm.plan(0),
            keeps_means=True,
        )
        self.batch = Batch(condition, rollout, {}, range(4), ["a", "a", "b", "b"], 0)
        kept = self.algorithm.remember(self.models, self.batch)
        self.batch = self.batch._replace(kept=kept)

    def terms(self, advantages=None):
        advantages = advantages or Advantages(OF_EDITS, COUNTS)
        return [
            self.algorithm.term(self.models, self.batch, advantages, number)
            for number in range(self.algorithm.num_terms(self.batch))
        ]

    def loss(self, advantages=None):
        return torch.stack([term.loss_B for term in self.terms(advantages)]).mean()

    def gradient(self, advantages=None):
        weights = [self.editor.module[name] for name in ("slope", "offset")]
        return torch.stack(torch.autograd.grad(self.loss(advantages), weights))
