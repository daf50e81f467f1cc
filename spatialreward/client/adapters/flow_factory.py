"""The served judge as a reward model of Flow-Factory (github.com/X-GenGroup/Flow-Factory).

Import it only where Flow-Factory is installed; its configuration names the class by its path. The
keys that Flow-Factory does not know itself go to the client: ``endpoint``, the fields of
``ClientConfig``, and ``redraws``.

A NaN among the rewards would make the advantages of its group NaN, and with a global standard
deviation all of them, so an edit that cannot be judged stops the step with ``JudgementError``.
"""

from collections.abc import Sequence
from typing import Any

from flow_factory.rewards import PointwiseRewardModel, RewardModelOutput
from PIL import Image

from spatialreward.client.adapters.rewards import judge_all
from spatialreward.client.triton import TritonJudge
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError


class SpatialRewardModel(PointwiseRewardModel):
    """Rewards from 0 to 1 of edits of ``condition_images``; safe with ``async_reward``."""

    required_fields = ("prompt", "image", "condition_images")
    use_tensor_inputs = False

    def __init__(self, config: Any, accelerator: Any) -> None:
        """Connect when first used.

        Args:
            config: Flow-Factory's ``RewardArguments``; ``extra_kwargs`` has the client's keys.
            accelerator: Accelerate's, for the base class.

        Raises:
            InvalidInputError: there is no ``endpoint``, or a key cannot be used.
        """
        super().__init__(config, accelerator)
        options = dict(config.extra_kwargs)
        if "endpoint" not in options:
            raise InvalidInputError("reward model: endpoint missing, expected HOST:PORT")
        self._redraws = options.pop("redraws", 2)
        self._judge = TritonJudge(**options)

    # No ``**kwargs``: Flow-Factory would pass every field of its samples.
    def __call__(
        self,
        prompt: Sequence[str],
        image: Sequence[Image.Image] | None = None,
        video: Sequence[Sequence[Image.Image]] | None = None,
        condition_images: Sequence[Sequence[Image.Image]] | None = None,
        condition_videos: Sequence[Sequence[Sequence[Image.Image]]] | None = None,
    ) -> RewardModelOutput:
        """The reward of each edit, in order; ``extra_info`` has the judgements.

        Raises:
            InvalidInputError: the samples have no pictures or no condition pictures, or one of
                them cannot be used.
            JudgementError: an edit was not judged.
            ServingError: the judge could not be asked.
        """
        if image is None or condition_images is None:
            raise InvalidInputError("reward model: samples need image and condition_images")
        samples = zip(condition_images, image, prompt, strict=True)
        judgements = judge_all(self._judge, [Edit(*one) for one in samples], self._redraws)
        return RewardModelOutput(
            rewards=[judgement.reward for judgement in judgements],
            extra_info={"judgements": judgements},
        )
