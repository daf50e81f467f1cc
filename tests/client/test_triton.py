import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatialreward.client import (
    DeadlineExceeded,
    ModelNotServed,
    RequestRejected,
    ServerBusy,
    ServerUnavailable,
    ServingError,
    TritonJudge,
    WrongAnswer,
    splitting,
)
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image, encode_png
from spatialreward.records import (
    JudgeIdentity,
    JudgementStatus,
    JudgingOptions,
    ScoreKind,
    Streams,
)


@pytest.fixture
def judge(server):
    with TritonJudge(server.address) as judge:
        yield judge


@given(data=st.data(), edits_per_request=st.integers(1, 9), requests_in_flight=st.integers(1, 5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_judgements_come_back_in_the_order_of_the_edits(
    server, picture, numbers_of, data, edits_per_request, requests_in_flight
):
    sources = [picture(number) for number in range(3)]
    several = st.lists(st.sampled_from(sources), min_size=1, max_size=3)
    prompts = data.draw(st.lists(st.tuples(several, st.sampled_from("ab")), max_size=40))
    edits = [
        Edit(source, picture(number), instruction, tuple(references))
        for number, ((source, *references), instruction) in enumerate(prompts)
    ]
    options = {"edits_per_request": edits_per_request, "requests_in_flight": requests_in_flight}
    with TritonJudge(server.address, **options) as judge:
        assert numbers_of(judge.judge(edits)) == list(range(len(edits)))


def test_no_edits_are_no_judgements_and_no_request(judge, server):
    assert judge.judge([]) == []
    assert server.sizes == []


def test_a_request_holds_sixteen_edits_and_has_an_id_of_its_own(judge, server, numbered_edits):
    judge.judge(numbered_edits(range(40)))
    assert sorted(server.sizes) == [8, 16, 16]
    assert len({request["id"] for request in server.servicer.requests}) == 3


def test_only_what_differs_from_the_defaults_is_sent(judge, server, numbered_edits):
    judge.judge(numbered_edits(range(2)))
    (request,) = server.servicer.requests
    assert set(request) == {"SOURCE", "EDITED", "INSTRUCTION", "id"}


def test_options_reach_the_server(judge, server, numbered_edits):
    options = JudgingOptions(streams=Streams.SEMANTIC, scores=ScoreKind.HARD, priority=9, seed=4)
    judge.judge([*numbered_edits([1], options=options), *numbered_edits([2])])
    (request,) = server.servicer.requests
    assert request["STREAMS"].tolist() == [[b"sc"], [b"both"]]
    assert request["REWARD_FROM"].tolist() == [[b"hard"], [b"soft"]]
    assert request["PRIORITY"].tolist() == [[9], [0]]
    assert request["SEED"].tolist() == [[4], [-1]]


def test_all_sources_of_an_edit_are_sent_in_order(judge, server, picture):
    judge.judge([Edit(picture(1), picture(2), "naïve", (picture(3), picture(4)))])
    (request,) = server.servicer.requests
    sent = [decode_image(file, "sent") for file in request["SOURCE"][0]]
    assert sent == [picture(number) for number in (1, 3, 4)]
    assert request["INSTRUCTION"].item().decode() == "naïve"


def test_a_judgement_names_the_model_that_made_it(judge, numbered_edits):
    assert judge.judge(numbered_edits([1]))[0].judged_by == "judge/3"


def test_the_identity_is_what_the_models_configuration_says_now(judge, server):
    told = {"judge_weights": "b" * 64, "judge_protocol": "tiny@0", "judge_aggregation": "min"}
    server.servicer.parameters |= told
    known = JudgeIdentity(
        name="judge", version="3", weights="b" * 64, protocol="tiny@0", aggregation="min"
    )
    assert judge.identity == known
    server.servicer.versions = [4]
    assert judge.identity == known.model_copy(update={"version": "4"})


def test_of_a_model_that_was_deployed_by_hand_the_name_is_known(judge, server, numbered_edits):
    assert judge.identity == JudgeIdentity(name="judge", version="3")
    assert judge.judge(numbered_edits([1]))[0].judged_by == str(judge.identity) == "judge/3"
    server.servicer.versions = []
    assert str(judge.identity) == "judge"


def test_an_edit_that_cannot_be_judged_fails_alone(judge, numbered_edits):
    good, bad = judge.judge([*numbered_edits([1]), *numbered_edits([2], instruction="fail")])
    assert good.status is JudgementStatus.OK
    assert (bad.status, bad.reward, bad.reason) == ("failed", None, "answer is not JSON")


def test_calls_from_many_threads_share_the_bound(server, numbered_edits):
    server.release_when(3)
    options = {"edits_per_request": 1, "requests_in_flight": 3}
    with TritonJudge(server.address, **options) as judge:
        calls = [
            threading.Thread(target=judge.judge, args=[numbered_edits(range(6))]) for _ in range(4)
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert len(server.sizes) == 24
    assert server.servicer.most_under_way == 3


def test_pictures_become_files_only_when_they_are_sent(server, numbered_edits, monkeypatch):
    encoded = []

    def encode(picture, **options):
        encoded.append(picture)
        return encode_png(picture, **options)

    monkeypatch.setattr(splitting, "encode_png", encode)
    server.servicer.may_answer.clear()
    with TritonJudge(server.address, edits_per_request=1, requests_in_flight=2) as judge:
        call = threading.Thread(target=judge.judge, args=[numbered_edits(range(20))])
        call.start()
        while server.servicer.under_way < 2:
            time.sleep(0.01)
        assert len(encoded) == 3, "one source and the edited pictures of two requests"
        server.servicer.may_answer.set()
        call.join()
    assert len(encoded) == 21


def test_what_is_unavailable_for_a_moment_is_asked_again(judge, server, numbered_edits, numbers_of):
    server.refuse("UNAVAILABLE", times=2)
    assert numbers_of(judge.judge(numbered_edits([7]))) == [7]
    assert len({request["id"] for request in server.servicer.requests}) == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(judge, server, numbered_edits):
    server.refuse("UNAVAILABLE", "the queue is full, retry after 0.6 s")
    start = time.monotonic()
    judge.judge(numbered_edits([7]))
    assert time.monotonic() - start >= 0.6


@pytest.mark.parametrize("told", ["full, retry after 0.05 s", "Exceeds maximum queue size"])
def test_a_server_that_stays_busy_is_an_error(server, numbered_edits, told):
    server.refuse("UNAVAILABLE", told, times=9)
    with (
        TritonJudge(server.address, attempts=3) as judge,
        pytest.raises(ServerBusy, match=rf"{server.address} \({told}\), request [0-9a-f]+"),
    ):
        judge.judge(numbered_edits([7]))
    assert len(server.sizes) == 3


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("INVALID_ARGUMENT", RequestRejected),
        ("INTERNAL", ServingError),
        ("RESOURCE_EXHAUSTED", ServingError),
    ],
)
def test_other_errors_are_told_and_not_asked_again(judge, server, numbered_edits, code, expected):
    server.refuse(code, "the tensor is too long")
    with pytest.raises(expected, match=r"judge at 127.*, request [0-9a-f]+: the tensor is too"):
        judge.judge(numbered_edits([7]))
    assert len(server.sizes) == 1


def test_a_model_that_is_not_served_is_named(server, numbered_edits):
    with TritonJudge(server.address, model="critic") as judge:
        for ask in (lambda: judge.judge(numbered_edits([7])), judge.check):
            with pytest.raises(ModelNotServed) as caught:
                ask()
            assert str(caught.value) == (
                f"no model 'critic' is loaded at {server.address}; deploy one with: "
                "spatialreward deploy --model models:/spatial-reward@champion --name critic"
            )


def test_a_server_that_is_away_is_named(server, numbered_edits):
    server.stop()
    with TritonJudge(server.address, attempts=2) as judge:
        with pytest.raises(ServerUnavailable, match=f"no server answers at {server.address}"):
            judge.judge(numbered_edits([7]))
        with pytest.raises(ServerUnavailable, match=server.address):
            judge.check()


def test_a_server_that_comes_back_is_found(server, numbered_edits, numbers_of):
    with TritonJudge(server.address, attempts=20) as judge:
        judge.check()
        server.stop()
        coming = threading.Timer(0.3, server.start)
        coming.start()
        assert numbers_of(judge.judge(numbered_edits([7]))) == [7]
        coming.join()


def test_a_request_that_takes_too_long_is_an_error_and_not_repeated(server, numbered_edits):
    server.servicer.may_answer.clear()
    with (
        TritonJudge(server.address, timeout_s=0.1) as judge,
        pytest.raises(DeadlineExceeded, match=rf"judge at {server.address} \(no answer within 0.1"),
    ):
        judge.judge(numbered_edits([7]))
    assert len(server.sizes) == 1


def test_a_call_ends_at_its_deadline(server, numbered_edits):
    server.servicer.delay_s = 0.2
    with TritonJudge(server.address, edits_per_request=1, requests_in_flight=1) as judge:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=rf"judge at {server.address}.* 0\.3 s"):
            judge.judge(numbered_edits(range(50)), deadline_s=0.3)
        assert time.monotonic() - start < 8
        assert judge.judge(numbered_edits([7]))


def test_nobody_waits_for_a_server_longer_than_the_call_may_take(judge, server, numbered_edits):
    server.refuse("UNAVAILABLE", "retry after 60 s")
    with pytest.raises(DeadlineExceeded, match=r"retry after 60 s.* with 5 s a call"):
        judge.judge(numbered_edits([7]), deadline_s=5)


def test_a_call_whose_client_is_closed_ends(server, numbered_edits):
    server.servicer.delay_s = 0.2
    judge = TritonJudge(server.address, edits_per_request=1, requests_in_flight=1)
    closing = threading.Timer(0.1, judge.close)
    closing.start()
    for _ in range(2):
        with pytest.raises(ServingError, match="this client has been closed"):
            judge.judge(numbered_edits(range(50)))
    closing.join()
    assert len(server.sizes) <= 2


def test_one_request_that_fails_ends_the_call_and_the_others_are_not_sent(server, numbered_edits):
    server.refuse("INVALID_ARGUMENT")
    with TritonJudge(server.address, edits_per_request=1, requests_in_flight=1) as judge:
        with pytest.raises(RequestRejected):
            judge.judge(numbered_edits(range(50)))
        judge.judge(numbered_edits([7]))
    assert len(server.sizes) <= 3


def without(name):
    return lambda tensors: {key: values for key, values in tensors.items() if key != name}


def changed(name, change):
    return lambda tensors: tensors | {name: change(tensors[name])}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("JUDGEMENT"), "JUDGEMENT is missing"),
        (without("REWARD"), "REWARD is missing"),
        (lambda tensors: {key: rows[:1] for key, rows in tensors.items()}, r"expected .*\(2, 1\)"),
        (changed("SCORES", lambda rows: rows[:, :3]), r"SCORES: expected FP32 of shape \(2, 4\)"),
        (changed("STATUS", lambda rows: np.zeros((2, 1), np.float32)), "STATUS: expected BYTES"),
        (changed("JUDGEMENT", lambda rows: rows * 0 + b"{"), "answer 0 is no judgement"),
        (changed("STATUS", lambda rows: rows[::-1]), "STATUS and REWARD are failed and 0.0"),
        (changed("REWARD", lambda rows: rows + 0.001), "JUDGEMENT says ok and 0.0"),
        (changed("REWARD", lambda rows: np.nan_to_num(rows)), "JUDGEMENT says failed and None"),
        (changed("REWARD", lambda rows: rows * np.nan), "JUDGEMENT says ok and 0.0"),
        (changed("VERSION", lambda rows: rows * 0 + b"\xff"), "answer 0 is no judgement"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_an_error(
    judge, server, numbered_edits, spoil, message
):
    server.servicer.spoil = spoil
    edits = [*numbered_edits([0]), *numbered_edits([1], instruction="fail")]
    with pytest.raises(WrongAnswer, match=rf"judge at 127.*request [0-9a-f]+: .*{message}"):
        judge.judge(edits)
    assert len(server.sizes) == 1


def test_the_notice_travels_with_the_model(judge):
    assert judge.notice == "knows nothing"


@pytest.mark.parametrize(
    ("endpoint", "options", "message"),
    [
        ("", {}, "expected HOST:PORT, got ''"),
        ("http://a:8001", {}, "expected HOST:PORT, got 'http://a:8001'"),
        (["a:1", "b"], {}, "expected HOST:PORT, got 'b'"),
        ([], {}, "endpoints"),
        ("a:1", {"timeout_s": 0}, "timeout_s"),
        ("a:1", {"timeout_s": float("inf")}, "timeout_s"),
        ("a:1", {"timeout": 5}, "timeout: no such key, did you mean timeout_s"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(endpoint, options, message):
    with pytest.raises(InvalidInputError, match=message):
        TritonJudge(endpoint, **options)


def test_the_environment_tells_where_the_servers_are(monkeypatch, server, numbered_edits):
    monkeypatch.setenv("TRITON_GRPC_URL", server.address)
    with TritonJudge.from_environment() as judge:
        assert judge.judge(numbered_edits([7]))
    monkeypatch.delenv("TRITON_GRPC_URL")
    with pytest.raises(InvalidInputError, match="TRITON_GRPC_URL not set"):
        TritonJudge.from_environment()
