import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.client import splitting
from spatialreward.client.splitting import PictureFiles, in_order, split
from spatialreward.edits import Edit
from spatialreward.records import JudgingOptions

PICTURES = [Image.new("RGB", (2, 2), (shade, 0, 0)) for shade in range(4)]

edits = st.lists(
    st.builds(
        Edit,
        source=st.sampled_from(PICTURES),
        edited=st.sampled_from(PICTURES),
        instruction=st.sampled_from(["a", "b"]),
        references=st.lists(st.sampled_from(PICTURES), max_size=2).map(tuple),
        options=st.just(JudgingOptions()),
    ),
    max_size=40,
)


def prompt_of(edit):
    return tuple(map(id, edit.sources)), edit.instruction


@given(edits, st.integers(1, 9))
@settings(max_examples=50)
def test_every_edit_is_in_one_request_of_bounded_size(edits, most):
    requests = split(edits, most)
    assert sorted(position for request in requests for position in request) == list(
        range(len(edits))
    )
    assert all(1 <= len(request) <= most for request in requests)


@given(edits, st.integers(1, 9))
@settings(max_examples=50)
def test_a_request_has_edits_of_equally_many_sources(edits, most):
    for request in split(edits, most):
        assert len({len(edits[position].sources) for position in request}) == 1


@given(edits, st.integers(1, 9))
@settings(max_examples=50)
def test_edits_of_one_prompt_are_spread_over_as_few_requests_as_can_be(edits, most):
    requests = split(edits, most)
    for prompt, number in Counter(map(prompt_of, edits)).items():
        holding = [one for one in requests if any(prompt_of(edits[at]) == prompt for at in one)]
        assert len(holding) == -(-number // most)


@given(edits, st.integers(1, 9))
@settings(max_examples=50)
def test_answers_return_in_the_order_of_the_edits(edits, most):
    requests = split(edits, most)
    assert in_order(requests, requests) == list(range(len(edits)))


def test_small_groups_share_a_request():
    edits = [Edit(PICTURES[0], PICTURES[1], text) for text in "abcabc"]
    assert split(edits, 4) == [[0, 3, 1, 4], [2, 5]]


def test_a_picture_is_encoded_once_and_forgotten_after_its_last_use(monkeypatch):
    encoded = []
    monkeypatch.setattr(splitting, "encode_png", lambda one, **_: encoded.append(one) or b"png")
    source, one, other = PICTURES[:3]
    files = PictureFiles([Edit(source, one, "a"), Edit(source, other, "a")])
    for picture in (source, one, source, other):
        assert files.png(picture) == b"png"
    assert encoded == [source, one, other]
    assert not files._files


def test_threads_that_want_the_same_picture_get_one_encoding(monkeypatch):
    encoded = []
    together = threading.Barrier(4)

    def encode(picture, **_):
        encoded.append(picture)
        return b"png"

    monkeypatch.setattr(splitting, "encode_png", encode)
    files = PictureFiles([Edit(PICTURES[0], PICTURES[0], "a")] * 2)
    got = []

    def ask():
        together.wait()
        got.append(files.png(PICTURES[0]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"png"] * 4
    assert encoded == [PICTURES[0]]


def test_a_picture_that_cannot_be_encoded_fails_for_everyone_who_wants_it():
    broken = Image.new("RGB", (2, 2))
    files = PictureFiles([Edit(broken, broken, "a")])
    broken.close()
    for _ in range(2):
        with pytest.raises(ValueError, match="closed image"):
            files.png(broken)
