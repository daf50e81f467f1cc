"""What goes wrong in a promotion that neither the gate nor the registry explains."""

from spatialreward.errors import SpatialRewardError


class PromotionError(SpatialRewardError, RuntimeError):
    """A version cannot become champion, or the champion cannot step down; says which and why."""
