"""One generated edit: its pictures, and the scenes that they were painted from."""

from PIL import Image

from spatialreward.images import decode_image
from spatialreward.records import Record
from spatialreward.world.operations import Operation
from spatialreward.world.rendering import Look
from spatialreward.world.scene import Scene
from spatialreward.world.truth import Truth


class World(Record):
    """How a generated sample came about; a painted one can be painted again at any size."""

    source: Scene
    operations: tuple[Operation, ...]
    edited: Scene | None
    """None for a picture that an editor drew: what it shows was read from it, see ``Truth``."""
    look: Look


class SceneSample(Record):
    """One edit: two PNG pictures, the instruction, and the truth about it."""

    id: str
    instruction: str
    grade: str
    """How the edit was made: one of the world's grades, or ``drawn`` by an editor."""
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
