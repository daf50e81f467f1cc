import pytest

from serving.bench.omnigen2_parity import compare
from tests.benchmarks.folders import FIXTURES

FOLDER = FIXTURES.parent / "omnigen2_parity"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/data/omnigen2_parity")
def test_our_numbers_are_the_published_ones_within_what_is_allowed():
    compared = list(compare(FOLDER))
    assert len(compared) == 23
    assert {one.name: one.difference for one in compared if one.difference > one.allowed} == {}
