from collections.abc import Callable

import pytest

from spatialreward.data.filters.facts import EditFacts


@pytest.fixture
def facts() -> Callable[..., EditFacts]:
    """Makes the facts of an edit whose pictures are like no other's, unless overridden."""

    def make(number: int, instruction: str = "make it snow", **fields) -> EditFacts:
        # Multiples of a large odd number differ in about half their bits.
        hash_of = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
        defaults = {
            "id": f"e{number}",
            "instruction": instruction,
            "operation": "",
            "editor": "",
            "sources": [hash_of],
            "edited": hash_of ^ 1,
            "digest": number.to_bytes(16, "little"),
            "source_digest": number.to_bytes(16, "little"),
            "success": None,
            "reasoning": None,
        }
        return EditFacts(**defaults | fields)

    return make
