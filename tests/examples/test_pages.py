"""Links of the pages on judging runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["quickstart.md", "client.md", "api.md", "../examples/README.md"])
def test_links_lead_somewhere(page):
    path = ROOT / "docs" / page
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
