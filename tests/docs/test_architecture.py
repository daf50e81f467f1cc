from itertools import pairwise

import pytest

from docs.make_architecture import PAGE, PATH, docstring, import_graph, page, rooms


@pytest.fixture(scope="module")
def graph():
    return import_graph()


def test_the_page_is_what_the_code_says():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "python -m docs.make_architecture writes it"


def test_no_import_goes_to_a_higher_row():
    found = rooms()
    row_of = {room: number for number, row in enumerate(found.rows) for room in row}
    assert found.imports
    assert not [
        f"{importer} -> {imported}"
        for importer, imported in found.imports
        if row_of[importer] > row_of[imported]
    ]


@pytest.mark.parametrize("step", PATH, ids=lambda step: step.title)
def test_each_step_of_the_path_exists_and_says_what_it_does(step):
    assert docstring(step.place)


def test_both_ends_of_each_arrow_know_what_it_carries(graph):
    def knows(importer, imported):
        return importer == imported or graph.chain_exists(importer, imported)

    for step, following in pairwise(PATH):
        ends = [one.place.partition(":")[0] for one in (step, following)]
        assert all(knows(end, step.joint) for end in ends) or all(
            knows(step.joint, end) for end in ends
        ), (step.title, following.title)


def test_a_page_without_a_marker_is_refused():
    with pytest.raises(ValueError, match="expected <!-- rooms -->"):
        page("# Architecture\n")
