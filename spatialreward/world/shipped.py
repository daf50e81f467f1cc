"""The tiny judge that ships with the library, as a starting point of trainings."""

from pathlib import Path

SHIPPED_BASE = Path(__file__).parent / "base_judge"
"""Its checkpoint."""
SHIPPED_ORIGIN = "the shipped base"
"""Its name in the cards of judges trained from it."""
