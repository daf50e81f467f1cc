import gzip
import json
import threading

import pytest
from pydantic import SecretStr

from spatialreward.ops.kubeflow import Credentials
from spatialreward.ops.kubeflow.errors import (
    AccessRefused,
    AnswerLost,
    CertificateRefused,
    NotFound,
    NotKubeflowPipelines,
    RequestRefused,
    ServerFault,
    ServerUnreachable,
)
from tests.ops.kubeflow.standin import Fault

HTML = {"Content-Type": "text/html; charset=utf-8"}
SECRET = "eyJhbGciOi.c2VjcmV0"


def page(title):
    return f"<html><head><title>{title}</title></head><body>...</body></html>".encode()


def test_nobody_at_the_address_is_said_plainly(connect, pauses):
    client = connect(url="http://127.0.0.1:9")
    with pytest.raises(ServerUnreachable) as error:
        client.check()
    said = str(error.value)
    assert said.startswith("Kubeflow Pipelines at http://127.0.0.1:9 cannot be reached")
    assert "Connection refused" in said
    assert "port-forward" in said
    assert len(pauses) == 3, "asked four times"


def test_a_name_that_nobody_has_is_no_address(connect):
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        connect(url="http://kubeflow.invalid", attempts=1).check()


def test_what_changes_nothing_is_asked_again_after_a_fault(standin, client, pauses):
    standin.fail("GET", "/healthz", Fault(500, b'{"code": 13, "message": "database is away"}'))
    standin.fail("GET", "/healthz", Fault(503, b"upstream connect error"))
    assert not client.check().multi_user
    assert standin.count("GET", "/healthz") == 3
    assert len(pauses) == 2


def test_a_fault_that_stays_is_told_with_its_reason(standin, client):
    standin.fail("GET", "/healthz", Fault(500, b'{"code": 13, "message": "no\\n space"}'), 9)
    with pytest.raises(ServerFault, match=r"GET /apis/v2beta1/healthz: .*HTTP 500: no space"):
        client.check()
    assert standin.count("GET", "/healthz") == 4


@pytest.mark.parametrize(
    "headers", [{}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunks"]
)
def test_an_answer_that_is_cut_off_is_asked_for_again(standin, client, headers):
    body = json.dumps({"multi_user": False, "pipeline_store": "x" * 500}).encode()
    if headers:
        body = b"1f4\r\n" + body + b"\r\n0\r\n\r\n"
    standin.fail("GET", "/healthz", Fault(200, body, headers, cut=True))
    client.check()
    assert standin.count("GET", "/healthz") == 2


def test_a_server_that_does_not_answer_is_given_up(standin, connect):
    never = threading.Event()
    standin.fail("GET", "/healthz", Fault(waits=never))
    with pytest.raises(AnswerLost, match=r"did not answer GET .*/healthz within 0\.2 s"):
        connect(timeout_s=0.2, attempts=1).check()
    never.set()


def test_a_server_that_drips_is_given_up_all_the_same(standin, connect):
    standin.fail("GET", "/healthz", Fault(200, b" " * 200 + b"{}", drip_s=0.05))
    with pytest.raises(AnswerLost, match=r"within 0\.3 s"):
        connect(timeout_s=0.3, attempts=1).check()


def test_a_compressed_answer_is_read(standin, client):
    body = gzip.compress(json.dumps({"multi_user": False}).encode())
    standin.fail("GET", "/healthz", Fault(200, body, {"Content-Encoding": "gzip"}))
    assert not client.check().multi_user


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(401, b"Jwt is missing"), AccessRefused, "does not know who asks (HTTP 401: Jwt"),
        (Fault(403, page("Sign in"), HTML), AccessRefused, "proxy in front of it refuses"),
        (
            Fault(403, b'{"code": 7, "message": "may not list runs in team-a"}'),
            AccessRefused,
            "not allowed (HTTP 403: may not list runs in team-a)",
        ),
        (
            Fault(302, b"", {"Location": "https://dex.example/auth?req=1"}),
            AccessRefused,
            "sends us to dex.example to log in",
        ),
        (Fault(302, b"{}", {"Location": "/dex/auth"}), AccessRefused, "a login page"),
        (Fault(302, b"", {"Location": "https://[dex"}), AccessRefused, "a login page"),
        (
            Fault(302, b"", {"Location": "https://a\x1b.test/"}),
            AccessRefused,
            "to a .test to log in",
        ),
        (Fault(404, page("404 Not Found"), HTML), NotKubeflowPipelines, "'404 Not Found'"),
        (Fault(200, page("Welcome to nginx!"), HTML), NotKubeflowPipelines, "'Welcome to nginx!'"),
        (Fault(200, b"[1, 2]"), NotKubeflowPipelines, "/apis/v2beta1"),
        (Fault(200, b"[" * 100_000), NotKubeflowPipelines, "/apis/v2beta1"),
        (Fault(200, b'{"multi_user": "maybe"}'), NotKubeflowPipelines, "no Health"),
        (Fault(404, b'{"code": 5, "message": "Not Found"}'), NotFound, "Not Found"),
        (Fault(501, b'{"code": 12, "message": "unimplemented"}'), RequestRefused, "unimplemented"),
        (Fault(400, b"\x1b[2Jno\xff"), RequestRefused, "[2Jno"),
    ],
)
def test_what_is_no_answer_is_named(standin, client, fault, kind, words):
    standin.fail("GET", "/healthz", fault)
    with pytest.raises(kind) as error:
        client.check()
    assert type(error.value) is kind
    assert words in str(error.value)
    assert "\x1b" not in str(error.value)
    assert standin.count("GET", "/healthz") == 1, "asking again would not help"


def test_a_redirect_is_not_followed(standin, connect):
    standin.fail("GET", "/healthz", Fault(307, b"", {"Location": f"{standin.url}/elsewhere"}))
    with pytest.raises(AccessRefused):
        connect(credentials=Credentials(token=SecretStr(SECRET))).check()
    assert len(standin.requests) == 1, "a token is for one server"


def test_a_token_is_given_and_a_file_is_read_each_time(standin, connect, tmp_path):
    standin.token = SECRET
    with pytest.raises(AccessRefused, match="does not know who asks"):
        connect().check()
    connect(credentials=Credentials(token=SecretStr(f" {SECRET}\n"))).check()
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    client = connect(credentials=Credentials(token_file=file))
    client.check()
    standin.token = "the-next-token"
    file.write_text("the-next-token")
    client.check()
    file.write_text(" \n")
    with pytest.raises(AccessRefused, match=f"{file}: it is empty"):
        client.check()
    file.unlink()
    with pytest.raises(AccessRefused, match=f"{file}: No such file"):
        client.check()


def test_cookie_and_further_headers_are_given(standin, connect):
    connect(
        credentials=Credentials(
            cookie=SecretStr("authservice_session=MTYz"),
            headers={"kubeflow-userid": SecretStr("someone@example")},
        )
    ).check()
    _, _, headers = standin.requests[-1]
    assert headers["Cookie"] == "authservice_session=MTYz"
    assert headers["kubeflow-userid"] == "someone@example"


def test_a_password_of_netrc_does_not_take_the_place_of_the_token(
    standin, connect, tmp_path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    standin.token = SECRET
    connect(credentials=Credentials(token=SecretStr(SECRET))).check()
    connect_without = connect()
    standin.token = ""
    connect_without.check()
    assert "Authorization" not in standin.requests[-1][2]


def test_nothing_secret_gets_into_a_message(standin, connect, caplog):
    caplog.set_level("DEBUG")
    credentials = Credentials(
        token=SecretStr(SECRET),
        cookie=SecretStr("session=Y29va2ll"),
        headers={"X-Key": SecretStr("headersecret")},
    )
    echo = f"no: Bearer {SECRET}, Y29va2ll, headersecret".encode()
    standin.fail("GET", "/healthz", Fault(500, echo), 9)
    with pytest.raises(ServerFault) as error:
        connect(credentials=credentials).check()
    for text in (str(error.value), repr(error.value), repr(credentials), caplog.text):
        for secret in (SECRET, "Y29va2ll", "headersecret"):
            assert secret not in text
    broken = Credentials(token=SecretStr(f"{SECRET}\nX-Evil: 1"))
    with pytest.raises(AccessRefused) as error:
        connect(credentials=broken).check()
    assert SECRET not in str(error.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_standin, connect, pauses):
    url, certificate = tls_standin
    with pytest.raises(CertificateRefused, match=r"certificate is not trusted.*--ca-file"):
        connect(url=url).check()
    assert pauses == [], "asking again would not help"
    connect(url=url, ca_file=certificate).check()
    plain = url.replace("https", "http")
    with pytest.raises((AnswerLost, NotKubeflowPipelines, RequestRefused)):
        connect(url=plain, attempts=1).check()


def test_tls_with_a_server_that_speaks_none_is_said(standin, connect):
    with pytest.raises(CertificateRefused, match=r"no TLS connection.*http://"):
        connect(url=standin.url.replace("http", "https")).check()


def test_a_ca_file_that_is_not_there_is_named(connect, tmp_path):
    with pytest.raises(CertificateRefused, match="no-such"):
        connect(url="https://127.0.0.1:9", ca_file=tmp_path / "no-such.pem").check()


def test_a_server_that_hangs_up_without_a_word_is_not_asked_on_a_dead_connection(
    standin, client, pauses
):
    standin.fail("GET", "/healthz", Fault(headers={"Connection": "keep-alive"}, acts=True), 20)
    for _ in range(20):
        client.check()
    assert (standin.count("GET", "/healthz"), pauses) == (20, [])


def test_waits_between_attempts_grow_and_stay_within_bounds(standin, connect, pauses):
    standin.fail("GET", "/healthz", Fault(503, b"{}"), 20)
    with pytest.raises(ServerFault):
        connect(attempts=12).check()
    assert len(pauses) == 11
    assert all(0 <= one <= 8 for one in pauses)
