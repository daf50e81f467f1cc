"""Pictures for people: judgements drawn on edits, sheets of samples, reward curves."""

from spatialreward.visuals.charts import reward_curve
from spatialreward.visuals.overlay import draw_overlay
from spatialreward.visuals.sheets import SheetRow, sample_sheet

__all__ = ["SheetRow", "draw_overlay", "reward_curve", "sample_sheet"]
