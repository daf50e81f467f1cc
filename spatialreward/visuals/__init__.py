"""Pictures for people: judgements drawn on edits, sheets of samples, charts."""

from spatialreward.visuals.charts import figure_with_intervals, reliability_diagram, reward_curve
from spatialreward.visuals.overlay import draw_overlay
from spatialreward.visuals.sheets import SheetRow, sample_sheet

__all__ = [
    "SheetRow",
    "draw_overlay",
    "figure_with_intervals",
    "reliability_diagram",
    "reward_curve",
    "sample_sheet",
]
