"""Settings of each RL algorithm; free of torch. Defaults are the references' own."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from spatialreward.records import Record

_CLIP = (1e-4, 5e-4)
_CLIP_IN_WINDOW = (1e-5, 1e-5)


class _Stepwise(Record):
    """Algorithms on the stochastic steps of a rollout."""

    kl_weight: float = Field(0.04, ge=0)
    """Weight of the divergence from the initial editor, in units of a step's sigma, independent of
    its length."""


class FlowGrpoSettings(_Stepwise):
    """Flow-GRPO (arXiv 2505.05470), with the clip range of EditScore's OmniGen2."""

    kind: Literal["flow_grpo"] = "flow_grpo"
    clip_low: PositiveFloat | None = None
    """Clip range of the probability ratio below 1; small, because log-probs are means over the
    latent's elements. None: 1e-4, or 1e-5 with a window."""
    clip_high: PositiveFloat | None = None
    """Clip range above 1; None: 5e-4, or 1e-5 with a window."""
    step_weights: Literal["equal", "noise"] = "equal"
    """``noise`` weights a step's policy loss by its deviation relative to the mean over trained
    steps (TempFlow-GRPO, arXiv 2508.04324). EditScore's code also multiplies it by the number of
    trained steps; divide ``kl_weight`` by that number for the same proportion."""

    def clip_range(self, *, in_window: bool) -> tuple[float, float]:
        """Clip range of the ratio below and above 1."""
        low, high = _CLIP_IN_WINDOW if in_window else _CLIP
        return self.clip_low or low, self.clip_high or high


class GuardSettings(_Stepwise):
    """GRPO-Guard (arXiv 2510.22319): normalises ratios across steps; noise ``sde`` only.

    Its authors' learning rates are 1e-4 to 2e-4.
    """

    kind: Literal["guard"] = "guard"
    clip_range: PositiveFloat = 2e-6
    """Of the normalised ratio. A clipped share of 0.1 to 0.3 is healthy."""
    divides_by_length: bool = True
    """Whether to divide a step's policy loss by the step's length."""


class FlowDppoSettings(_Stepwise):
    """Flow-DPPO (arXiv 2606.11025): bounds the divergence, without a clip; noise ``sde`` only."""

    kind: Literal["flow_dppo"] = "flow_dppo"
    max_divergence: PositiveFloat = 1e-5
    """From the sampling policy; drops an edit's step beyond it that would diverge further."""


class _Matching(Record):
    """Algorithms on finished edits with fresh noise, independent of the solver."""

    num_times: PositiveInt | None = None
    """Number of times to train per step, drawn from the sampler's grid; None: all but the last."""
    noisiest_share: float = Field(1.0, gt=0, le=1)
    """Share of the grid, from the noisy end, that these times come from."""

    def grid(self, num_denoising_steps: int) -> range:
        """Numbers of a rollout's steps whose times may be trained."""
        return range(max(1, math.floor((num_denoising_steps - 1) * self.noisiest_share)))

    def plan(self, num_denoising_steps: int, step: int, seed: int) -> tuple[int, ...]:
        """Those to train in a step, ascending; identical in all processes."""
        grid = self.grid(num_denoising_steps)
        if self.num_times is None:
            return tuple(grid)
        drawn = np.random.default_rng((seed, step, 2)).permutation(len(grid))[: self.num_times]
        return tuple(sorted(drawn.tolist()))


class NftSettings(_Matching):
    """DiffusionNFT (arXiv 2509.16117), with the defaults of Edit-R1 (arXiv 2510.16888).

    Edit-R1 has a learning rate of 3e-4, a weight decay of 1e-4 and groups of 12.
    """

    kind: Literal["nft"] = "nft"
    strength: PositiveFloat = 1.0
    """Beta: distance of the implicit positive and negative policies; the paper's combined runs use
    0.1, which is faster and less stable."""
    kl_weight: float = Field(1e-4, ge=0)
    """Weight of the squared distance of velocities from the initial editor."""
    old_policy: Literal["rising", "late", "newest"] = "rising"
    """How the sampling policy follows the trained one, after each step: its own share is
    ``min(0.001 step, 0.5)``; 0 until step 75, then ``0.0075 (step - 75)`` up to 0.999; or 0."""

    def old_share(self, step: int) -> float:
        """The old policy's own share after this number of steps."""
        match self.old_policy:
            case "rising":
                return min(0.001 * step, 0.5)
            case "late":
                return min(0.0075 * max(0, step - 75), 0.999)
            case "newest":
                return 0.0


class AwmSettings(_Matching):
    """Advantage-weighted matching (arXiv 2509.25050): fast, but stable only with both limits.

    Flow-Factory's learning rate is 3e-4. The clip range and the weight of the distance from the
    average cannot be 0, and the average of the weights is required.
    """

    kind: Literal["awm"] = "awm"
    clip_range: PositiveFloat = 1e-5
    """Of the ratio derived from the matching errors."""
    average_kl_weight: PositiveFloat = 0.1
    """Weight of the squared distance of velocities from the moving average of the weights."""
    kl_weight: float = Field(0.0, ge=0)
    """The same, from the initial editor."""
    weighting: Literal["uniform", "sigma", "sigma_squared", "huber", "generalised_huber"] = (
        "uniform"
    )
    """Weighting of the matching errors: by sigma = 1 - t, or also by their size."""
    huber_power: float = Field(0.25, gt=0, le=1)
    """Of ``generalised_huber``: ``sigma / p * ((error + eps)**p - eps**p)``."""


AlgorithmSettings = Annotated[
    FlowGrpoSettings | GuardSettings | FlowDppoSettings | NftSettings | AwmSettings,
    Field(discriminator="kind"),
]
"""Settings of one algorithm, selected by ``kind``."""
