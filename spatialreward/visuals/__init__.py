"""Pictures for people: judgements drawn on edits, sheets of samples; ``charts`` has the curves.

Charts are imported by themselves: matplotlib takes a second that an overlay need not wait for.
"""

from spatialreward.visuals.overlay import draw_overlay
from spatialreward.visuals.sheets import SheetRow, sample_sheet

__all__ = ["SheetRow", "draw_overlay", "sample_sheet"]
