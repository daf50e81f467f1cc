import json

import pytest

from spatialreward.client import ServerUnavailable
from spatialreward.client.adapters.editscore import RewardClient, evaluate_images
from spatialreward.errors import InvalidInputError, JudgementError
from spatialreward.images import encode_png


@pytest.fixture
def proxy(server):
    host, port = server.address.split(":")
    return {"proxy_host": host, "proxy_port": int(port)}


def test_the_training_loop_gets_what_it_expects(proxy, picture):
    low, high = 1, 40_000
    scores, rewards, reasoning, meta_data = evaluate_images(
        input_images=[[picture(0)], [picture(0)]],
        output_image=[picture(low), picture(high)],
        meta_datas=[json.dumps({"instruction": text, "tag": "add"}) for text in "ab"],
        **proxy,
        server_type="vlm",
    )
    assert scores == [0.0, 1.0]
    assert rewards == [low / 65_536, high / 65_536]
    assert '"editing_success":1.0' in reasoning[0]
    assert meta_data[1] == {"instruction": "b", "tag": "add", "original_index": 1}


def test_pictures_may_be_files_and_metadata_mappings(proxy, server, picture):
    with RewardClient(**proxy) as client:
        _, rewards, _, _ = client.evaluate(
            [[encode_png(picture(1)), picture(2)]], [encode_png(picture(3))], [{"instruction": "a"}]
        )
    assert rewards == [3 / 65_536]
    assert server.servicer.requests[0]["SOURCE"].shape == (1, 2)


def test_no_edits_are_no_rewards(proxy):
    assert evaluate_images([], [], [], **proxy) == ([], [], [], [])


def test_an_edit_without_a_judgement_is_an_error_and_no_reward(proxy, picture):
    with pytest.raises(JudgementError, match="1 of 1 edits were not judged: 0: answer is not"):
        evaluate_images([[picture(0)]], [picture(1)], ['{"instruction": "fail"}'], **proxy)


def test_a_server_that_is_away_is_an_error_and_no_reward(proxy, server, picture):
    server.stop()
    with RewardClient(**proxy, max_retries=1) as client:
        with pytest.raises(ServerUnavailable, match=server.address):
            client.evaluate([[picture(0)]], [picture(1)], ['{"instruction": "a"}'])
        assert not client.ping()


def test_hosts_may_have_ports_of_their_own(server):
    with RewardClient(f"{server.address},127.0.0.1", proxy_port=1) as client:
        assert client.ping()


def test_an_edit_without_an_instruction_is_an_error(proxy, picture):
    with pytest.raises(InvalidInputError, match="meta_datas 0: instruction missing"):
        evaluate_images([[picture(0)]], [picture(1)], ['{"prompt": "a"}'], **proxy)
