"""A generated edit: its pictures, and the scenes behind them."""

from PIL import Image

from spatialreward.images import decode_image
from spatialreward.records import Record
from spatialreward.world.operations import Operation
from spatialreward.world.rendering import Look
from spatialreward.world.scene import Scene
from spatialreward.world.truth import Truth


class World(Record):
    """Record of a generated sample; a painted one can be repainted at any size."""

    source: Scene
    operations: tuple[Operation, ...]
    edited: Scene | None
    """None for a picture from an editor, whose content the oracle reads, see ``Truth``."""
    look: Look


class SceneSample(Record):
    """One edit: two PNG pictures, the instruction, and the truth about it."""

    id: str
    instruction: str
    grade: str
    """One of the world's grades, or ``drawn`` for an editor's edit."""
    source: bytes
    edited: bytes
    truth: Truth
    world: World

    def images(self) -> tuple[Image.Image, Image.Image]:
        """The source picture and the edited one, RGB."""
        return (
            decode_image(self.source, f"{self.id}/source"),
            decode_image(self.edited, f"{self.id}/edited"),
        )
