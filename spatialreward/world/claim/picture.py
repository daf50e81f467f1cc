"""Plot of the claim: each measure as bars by kind, with intervals over seeds."""

from collections.abc import Mapping, Sequence

from PIL import Image

from spatialreward.training.config import JudgeKind
from spatialreward.visuals.charts import Bar, bar_panels
from spatialreward.world.claim.comparing import Mean, Table

_PANELS: Mapping[str, Sequence[str]] = {
    "pairs of one task in the right order": ("within_accuracy",),
    "exact order of 2, 3, 4": ("exact_order_of_2", "exact_order_of_3", "exact_order_of_4"),
    "error of the over-editing score (0..25)": ("over_editing_error",),
    "share of the source in the attention": ("source_attention",),
    "order within groups an editor drew (tau)": ("group_agreement",),
    "judgements a second": ("judgements_per_s",),
}


def draw_claim(table: Table, kinds: Sequence[JudgeKind]) -> Image.Image:
    """One panel per measure; a kind without the figure has no bar."""
    return bar_panels(
        {
            title: {kind: [_bar(table[name].get(kind)) for name in names] for kind in kinds}
            for title, names in _PANELS.items()
        }
    )


def _bar(by_seed: Mapping[int, float] | None) -> Bar | None:
    if not by_seed:
        return None
    mean = Mean.of(list(by_seed.values()))
    return Bar(mean.value, mean.interval)
