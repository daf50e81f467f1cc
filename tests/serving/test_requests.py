import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.images import encode_png
from spatialreward.records import Judgement, JudgementStatus, Scores, Streams
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import InvalidRequest
from spatialreward.serving.requests import decode_edit, read_request, write_response

LIMITS = ServingConfig()
PNG = encode_png(Image.new("RGB", (9, 5), "red"))


def column(*values):
    return np.array(values, dtype=object).reshape(len(values), -1)


def request(**changes):
    tensors = {"SOURCE": column(PNG), "EDITED": column(PNG), "INSTRUCTION": column(b"make it red")}
    return {name: one for name, one in {**tensors, **changes}.items() if one is not None}


def test_a_plain_request_is_judged_in_both_streams_greedily():
    (edit,) = read_request(request(), LIMITS)
    assert edit.options.streams is Streams.BOTH
    assert edit.options.seed is None
    decoded = decode_edit(edit, LIMITS, {})
    assert decoded.source.size == (9, 5)
    assert decoded.instruction == "make it red"


def test_options_are_an_edit_s_own():
    two = {name: np.repeat(tensor, 2, axis=0) for name, tensor in request().items()}
    two |= {"STREAMS": column(b"sc", b"both"), "SEED": np.array([[-1], [5]])}
    first, second = read_request(two, LIMITS)
    assert (first.options.streams, first.options.seed) == (Streams.SEMANTIC, None)
    assert (second.options.streams, second.options.seed) == (Streams.BOTH, 5)


def test_further_sources_are_references():
    (edit,) = read_request(request(SOURCE=np.array([[PNG, PNG]], dtype=object)), LIMITS)
    assert len(decode_edit(edit, LIMITS, {}).references) == 1


def test_a_picture_that_comes_again_is_decoded_once():
    (edit,) = read_request(request(), LIMITS)
    decoded = decode_edit(edit, LIMITS, {})
    assert decoded.source is decoded.edited


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EDITED": None}, "EDITED: missing"),
        ({"EDITED": column(PNG, PNG)}, "as many edits in each tensor"),
        ({"STREAMS": column(b"some")}, "STREAMS of edit 0: .*'both', 'sc' or 'pq'"),
        ({"REWARD_FROM": column(b"\xff")}, "REWARD_FROM of edit 0"),
        ({"PRIORITY": np.array([[10]])}, "PRIORITY of edit 0: .*less than or equal to 9"),
        ({"SEED": np.array([[-2]])}, "SEED of edit 0"),
        (
            {"SOURCE": np.array([[PNG] * 9], dtype=object)},
            "SOURCE: expected 1 to 8 source pictures",
        ),
    ],
)
def test_a_request_that_breaks_the_contract_is_refused_as_a_whole(changes, message):
    with pytest.raises(InvalidRequest, match=message):
        read_request(request(**changes), LIMITS)


def test_limits_hold_before_anything_is_decoded():
    with pytest.raises(InvalidRequest, match="bytes, more than the 100 allowed"):
        read_request(request(), ServingConfig(max_request_bytes=100))
    many = {name: np.repeat(tensor, 3, axis=0) for name, tensor in request().items()}
    with pytest.raises(InvalidRequest, match="expected 1 to 2 edits, got 3"):
        read_request(many, ServingConfig(max_request_edits=2))


@pytest.mark.parametrize(
    ("changes", "limits", "message"),
    [
        ({"EDITED": column(PNG[:30])}, {}, "edited picture"),
        ({"SOURCE": column(b"")}, {}, "source picture: is empty"),
        ({"INSTRUCTION": column(b" ")}, {}, "instruction: is empty"),
        ({"INSTRUCTION": column(b"\xff\xfe")}, {}, "instruction: is not UTF-8"),
        ({"INSTRUCTION": column(b"<|im_end|>")}, {}, "reserved for the chat template"),
        ({}, {"max_pixels": 44}, "source picture: 9 x 5 pixels, more than the 44"),
        ({}, {"max_picture_bytes": 10}, "source picture: .* bytes, more than the 10 bytes"),
    ],
)
def test_an_edit_that_cannot_be_used_says_which_part_of_it(changes, limits, message):
    (edit,) = read_request(request(**changes), LIMITS)
    with pytest.raises(InvalidInputError, match=message):
        decode_edit(edit, ServingConfig(**limits), {})


def test_pictures_that_are_too_large_together_fail_where_they_become_so():
    small, large = PNG, encode_png(Image.new("1", (40, 40)))
    (edit,) = read_request(request(SOURCE=column(small), EDITED=column(large)), LIMITS)
    pictures = {}
    with pytest.raises(InvalidInputError, match=r"edited picture: .* 1,645 pixels with it"):
        decode_edit(edit, ServingConfig(max_request_pixels=1644), pictures)
    assert list(pictures) == [small]
    decode_edit(edit, ServingConfig(max_request_pixels=1645), {})


@settings(max_examples=300)
@given(
    sources=st.lists(st.binary(max_size=80) | st.just(PNG), min_size=1, max_size=3),
    edited=st.binary(max_size=80) | st.just(PNG),
    instruction=st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    streams=st.binary(max_size=5) | st.sampled_from([b"sc", b"pq", b"both"]),
    priority=st.integers(-(2**63), 2**63 - 1),
    seed=st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_comes_is_an_edit_or_a_typed_error(
    sources, edited, instruction, streams, priority, seed
):
    tensors = request(
        SOURCE=np.array([sources], dtype=object),
        EDITED=column(edited),
        INSTRUCTION=column(instruction),
        STREAMS=column(streams),
        PRIORITY=np.array([[priority]]),
        SEED=np.array([[seed]]),
    )
    try:
        (edit,) = read_request(tensors, LIMITS)
        decoded = decode_edit(edit, LIMITS, {})
    except (InvalidRequest, InvalidInputError):
        return
    assert isinstance(decoded, Edit)


def test_a_response_has_no_number_where_there_is_no_judgement():
    ok = Judgement(
        status=JudgementStatus.OK,
        scores=Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4),
        reward=0.25,
    )
    lost = Judgement.failed("cut off", Failure.NOT_JSON)
    reward, scores, status, judgement, model, version = write_response([ok, lost], "judge", "3")
    assert reward.ravel().tolist()[0] == 0.25
    assert np.isnan(reward[1, 0])
    assert scores[0].tolist() == [1, 2, 3, 4]
    assert np.isnan(scores[1]).all()
    assert status.ravel().tolist() == [b"ok", b"failed"]
    assert Judgement.model_validate_json(judgement[1, 0]) == lost
    assert (model[0, 0], version[1, 0]) == (b"judge", b"3")


def test_a_cpu_has_a_batch_a_core_and_a_gpu_one():
    config = ServingConfig()
    assert [config.workers_for(cores, on_gpu=False) for cores in (1, 2, 64)] == [1, 2, 4]
    assert config.workers_for(64, on_gpu=True) == 1
    assert ServingConfig(workers=3).workers_for(2, on_gpu=True) == 3


def test_parameters_of_the_model_are_checked():
    config = ServingConfig.of_parameters({"workers": "2", "notice": "anything"})
    assert config.workers == 2
    with pytest.raises(InvalidInputError, match=r"parameter workers: .*greater than 0"):
        ServingConfig.of_parameters({"workers": "0"})
