from spatialreward.ops.deployer.kubernetes.counts import (
    Counts,
    counted_meanwhile,
    parse_counts,
    read_counts,
)

TEXT = """\
# HELP spatialreward_requests_total Requests answered
# TYPE spatialreward_requests_total counter
spatialreward_requests_total{model="judge",version="7"} 10
spatialreward_requests_total{model="other",version="7"} 99
# TYPE spatialreward_request_seconds_total counter
spatialreward_request_seconds_total{model="judge",version="7"} 5
# TYPE spatialreward_edits_total counter
spatialreward_edits_total{model="judge",version="7",status="ok"} 18
spatialreward_edits_total{model="judge",version="7",status="failed"} 1
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="judge",version="7",reason="BACKEND"} 1
nv_inference_request_failure{model="judge",version="7",reason="CANCELED"} 0
"""


def test_counts_are_read_of_the_judge_alone():
    told = parse_counts(TEXT, "judge")
    assert told == Counts(requests=10, seconds=5, edits=20, failed=2)
    assert told.failed_share == 0.1
    assert told.mean_s == 0.5
    assert (Counts().failed_share, Counts().mean_s) == (0, 0)


def test_what_was_counted_meanwhile_is_of_all_servers_new_ones_and_restarted_ones_too():
    before = {"a": Counts(10, 5, 20, 1), "b": Counts(100, 50, 100, 0)}
    after = {"a": Counts(15, 8, 30, 2), "b": Counts(3, 1, 3, 0), "c": Counts(2, 1, 2, 2)}
    assert counted_meanwhile(before, after) == Counts(10, 5, 15, 3)


def test_a_server_that_does_not_answer_is_left_out():
    assert read_counts({"away": "http://127.0.0.1:9/metrics"}, "judge") == {}
