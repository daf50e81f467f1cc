"""Plot of the claim: the gain of the oracle's reward over the steps, by reward."""

from collections.abc import Mapping, Sequence

from PIL import Image

from spatialreward.visuals.charts import Curve, Point, curve_panels
from spatialreward.world.rl_claim.comparing import Table, gain
from spatialreward.world.rl_claim.config import CEILING, RewardKind
from spatialreward.world.rl_claim.training import Trained

_PANELS: Mapping[str, Sequence[RewardKind]] = {
    "one judge, advantages of places or of the picture": ("region_advantages", "regions"),
    "judges that write": ("regions", "no_regions", "scores"),
    "judges that give a score alone": ("regions", "discriminative", "joint"),
    "no model": ("regions", "pixels"),
}


def draw_gains(table: Table) -> Image.Image:
    """The oracle's reward relative to the initial editor, with 95 % intervals.

    Every panel includes the ceiling; a reward has the same colour in all of them.
    """
    curves = {kind: _curve(trainings) for kind, trainings in table.items()}
    panels = {
        title: {kind: curves[kind] for kind in (*kinds, CEILING) if kind in curves}
        for title, kinds in _PANELS.items()
    }
    return curve_panels(panels, tuple(table), x_label="step", y_label="gain of the oracle's reward")


def _curve(trainings: Sequence[Trained]) -> Curve:
    looks = range(len(trainings[0].looks))
    gains = [gain(trainings, lambda one, number=number: one.looks[number]) for number in looks]
    steps = [look.step for look in trainings[0].looks]
    return [Point(x, one.value, one.interval) for x, one in zip(steps, gains, strict=True)]
