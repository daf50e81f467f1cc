"""The one error of this package."""

from spatialreward.errors import SpatialRewardError


class ImageError(SpatialRewardError, RuntimeError):
    """An image cannot be built, run, found or pushed; one line says which, and why."""
