"""The tiny judge that comes with the library, for trainings to start from."""

from pathlib import Path

SHIPPED_BASE = Path(__file__).parent / "base_judge"
"""Its checkpoint."""
SHIPPED_ORIGIN = "the shipped base"
"""What the card of a judge that was trained from it says."""
