import threading

import pytest
from pydantic import SecretStr

from spatialreward.ops.kubeflow import Credentials, KubeflowError
from spatialreward.ops.kubeflow.errors import (
    AnswerLost,
    NotFound,
    RequestRefused,
    ServerFault,
    ServerUnreachable,
)
from tests.ops.kubeflow.standin import Fault

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<!DOCTYPE html>\n<HTML><head><title>Welcome</title></head></html>"
SECRET = "eyJhbGciOi.c2VjcmV0"


def test_an_address_without_a_server_is_said_plainly(connect):
    with pytest.raises(ServerUnreachable) as error:
        connect(url="http://127.0.0.1:9").check()
    said = str(error.value)
    assert said.startswith("Kubeflow Pipelines at http://127.0.0.1:9 cannot be reached")
    assert "Connection refused" in said
    assert "port-forward" in said


def test_a_proxy_of_the_environment_is_used(standin, connect, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ServerUnreachable, match=r"proxy.*NO_PROXY"):
        connect(attempts=1).check()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    connect().check()


def test_what_changes_nothing_is_repeated_after_a_fault(standin, client):
    standin.fail("GET", "/healthz", Fault(500, b'{"code": 13, "message": "database is away"}'))
    standin.fail("GET", "/healthz", Fault(503, b"upstream connect error"))
    standin.fail("GET", "/healthz", Fault(200, b"x" * 500, cut=True))
    client.check()
    assert standin.count("GET", "/healthz") == 4


def test_a_fault_that_stays_is_told_with_its_reason(standin, client):
    standin.fail("GET", "/healthz", Fault(500, b'{"code": 13, "message": "no\\n space"}'), 9)
    with pytest.raises(ServerFault, match=r"GET /apis/v2beta1/healthz: .*HTTP 500: no space"):
        client.check()
    assert standin.count("GET", "/healthz") == 4


@pytest.mark.parametrize("fault", [Fault(503, b"{}"), Fault(200, b"{}" * 99, cut=True)])
def test_what_changes_something_is_sent_once(standin, client, fault):
    standin.fail("POST", "/runs/r:terminate", fault)
    with pytest.raises((AnswerLost, ServerFault)):
        client.runs.run_service_terminate_run("r")
    assert standin.count("POST", "/runs/r:terminate") == 1


def test_a_server_that_does_not_answer_is_given_up(standin, connect):
    never = threading.Event()
    standin.fail("GET", "/healthz", Fault(waits=never))
    with pytest.raises(AnswerLost, match=r"did not answer GET .*/healthz within 0\.2 s"):
        connect(timeout_s=0.2, attempts=1).check()
    never.set()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(401, b"Jwt is missing"), KubeflowError, "does not know the caller (HTTP 401: Jwt"),
        (Fault(403, PAGE, HTML), KubeflowError, "not allowed (HTTP 403: a web page)"),
        (
            Fault(403, b'{"code": 7, "message": "may not list runs in team-a"}'),
            KubeflowError,
            "not allowed (HTTP 403: may not list runs in team-a)",
        ),
        (
            Fault(302, b"", {"Location": "https://dex.example/auth?req=1"}),
            KubeflowError,
            "redirects to dex.example",
        ),
        (Fault(302, b"{}", {"Location": "/dex/auth"}), KubeflowError, "a login page"),
        (Fault(404, PAGE, HTML), KubeflowError, "HTTP 404: a web page"),
        (Fault(200, PAGE, HTML), KubeflowError, "HTTP 200, no JSON"),
        (Fault(200, b"[1, 2]"), KubeflowError, "/apis/v2beta1"),
        (Fault(200, b"\xff"), KubeflowError, "/apis/v2beta1"),
        (Fault(404, b'{"code": 5, "message": "Not Found"}'), NotFound, "Not Found"),
        (Fault(501, b'{"code": 12, "message": "unimplemented"}'), RequestRefused, "unimplemented"),
        (Fault(400, b"\x1b[2Jno\xff"), RequestRefused, "[2Jno"),
    ],
)
def test_what_is_no_answer_is_named(standin, connect, fault, kind, words):
    standin.fail("GET", "/healthz", fault)
    with pytest.raises(kind) as error:
        connect(credentials=Credentials(token=SecretStr(SECRET))).check()
    assert type(error.value) is kind
    assert words in str(error.value)
    assert "\x1b" not in str(error.value)
    assert len(standin.requests) == 1, "a repetition would not help; a token is for one server"


def test_a_token_is_given_and_a_file_is_read_each_time(standin, connect, tmp_path):
    standin.token = SECRET
    with pytest.raises(KubeflowError, match="does not know the caller"):
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
    with pytest.raises(KubeflowError, match=f"{file}: it is empty"):
        client.check()
    file.unlink()
    with pytest.raises(KubeflowError, match=f"{file}: No such file"):
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
    with pytest.raises(KubeflowError) as error:
        connect(credentials=broken).check()
    assert SECRET not in str(error.value)


def test_a_certificate_that_is_not_trusted_is_refused(tls_standin, standin, connect, tmp_path):
    url, certificate = tls_standin
    with pytest.raises(KubeflowError, match=r"no trusted TLS.*self.signed.*--ca-file"):
        connect(url=url).check()
    with pytest.raises(KubeflowError, match=r"No such file.*--ca-file"):
        connect(url=url, ca_file=tmp_path / "no-such.pem").check()
    assert standin.requests == []
    connect(url=url, ca_file=certificate).check()
    with pytest.raises((AnswerLost, RequestRefused)):
        connect(url=url.replace("https", "http"), attempts=1).check()


def test_tls_with_a_server_that_speaks_none_is_said(standin, connect):
    with pytest.raises(KubeflowError, match=r"no trusted TLS.*http://"):
        connect(url=standin.url.replace("http", "https")).check()
