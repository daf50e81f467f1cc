"""The grounded base that comes with the library: a tiny model that describes and never scores."""

from pathlib import Path

SHIPPED_BASE = Path(__file__).parent / "grounded_base"
"""Its checkpoint."""
