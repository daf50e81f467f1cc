import spatialreward
from docs.make_api import PAGE, SECTIONS, page


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == page(), "python -m docs.make_api writes it"


def test_every_public_name_has_a_section():
    described = [name for names in SECTIONS.values() for name in names]
    assert sorted(described) == spatialreward.__all__


def test_every_described_name_says_what_it_is():
    for name in spatialreward.__all__:
        block = PAGE.read_text().partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        words = [line for line in block.splitlines() if line and line[0] not in "*|#"]
        assert words, name
