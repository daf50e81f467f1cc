"""Where a key goes, over real HTTP, and where it never does."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from spatialreward.chat.config import OPENAI_ADDRESS
from spatialreward.chat.keys import key_of
from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.errors import InvalidInputError
from tests.data.corpus.made import settings, write_edits
from tests.data.teacher.conftest import KEY
from tests.data.teacher.edits_to_annotate import edit
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import Reaction, TeacherServer

SHELL = {
    "OPENAI_API_KEY": "sk-shell-1",
    "OPENAI_ADMIN_KEY": "sk-shell-2",
    "OPENAI_ORG_ID": "org-shell",
    "OPENAI_PROJECT_ID": "proj-shell",
    "OPENAI_WEBHOOK_SECRET": "whsec-shell",
    "OPENAI_CUSTOM_HEADERS": "X-Mine: shell-header\nAuthorization: Bearer sk-shell-3",
}
"""What a shell may hold for OpenAI's own tools."""


@pytest.fixture
def shell(monkeypatch):
    """All of it set, and an address to which nothing may go."""
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")


def headers_of(server) -> dict[str, str]:
    return {name.lower(): value for name, value in server.asked[0].headers.items()}


@pytest.mark.parametrize("variable", [None, ""])
def test_what_the_shell_holds_goes_to_no_server_of_ones_own(
    shell, server, config, ledger, variable
):
    [result] = annotate_all([edit()], changed(config, api_key_variable=variable), ledger)
    assert result.label is not None
    assert set(headers_of(server)) == {
        "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
        "user-agent", "x-stainless-retry-count",
    }  # fmt: skip
    assert "shell" not in str(headers_of(server))


def test_a_server_whose_variable_is_named_gets_that_key_alone(shell, server, config, ledger):
    list(annotate_all([edit()], config, ledger))
    headers = headers_of(server)
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert "shell" not in str(headers)
    assert not [name for name in headers if name.startswith("openai")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["another host", "the same host"])
def test_a_redirect_is_refused_and_nothing_follows_it(server, config, ledger, status, to):
    with TeacherServer().running() as other:
        url = other.url.replace("127.0.0.1", "localhost") if to == "another host" else server.url
        target = f"{url}/elsewhere"
        server.plan = lambda asked: Reaction(b"{}", status, {"Location": target})
        with pytest.raises(InvalidInputError, match=f"redirects to {target}; set base_url"):
            list(annotate_all([edit()], config, ledger))
        assert len(server.asked) == 1
        assert other.asked == []


@contextmanager
def proxy():
    """A proxy that notes what it is asked for, and fetches nothing."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(str(self.headers))
            self.send_error(502)

        def log_message(self, *args):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}", seen
        http.shutdown()
        thread.join(10)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_key_for_this_machine_goes_through_no_proxy(server, config, ledger, monkeypatch, name):
    with proxy() as (address, seen):
        for one in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(one, raising=False)
        monkeypatch.setenv(name, address)
        [result] = annotate_all([edit()], config, ledger)
        assert result.label is not None
        assert seen == []


ADDRESSES = {
    "OpenAI's": (OPENAI_ADDRESS, "OPENAI_API_KEY"),
    "OpenAI's with a slash": (f"{OPENAI_ADDRESS}/", "OPENAI_API_KEY"),
    "one that begins like it": (f"{OPENAI_ADDRESS}.example.com", ""),
    "one that ends like it": ("https://me.example.com/api.openai.com/v1", ""),
    "OpenAI's without encryption": ("http://api.openai.com/v1", ""),
    "another port": ("https://api.openai.com:8443/v1", ""),
    "another company's": ("https://teacher.example.com/v1", ""),
    "this machine's": ("http://localhost:8000/v1", ""),
}


@pytest.mark.parametrize(("address", "variable"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_usual_variable_is_for_openais_own_address_alone(shell, address, variable):
    config = TeacherConfig(base_url=address, model="m")
    assert config.key_variable == variable
    assert key_of(config) == ("sk-shell-1" if variable else "")


@pytest.mark.parametrize(
    ("host", "is_let"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("127.8.8.8", True),
        ("[::1]:8000", True),
        ("teacher:8000", False),
        ("10.0.0.7:8000", False),
        ("0.0.0.0:8000", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("[2001:db8::1]:8000", False),
    ],
)
def test_a_key_goes_to_no_other_machine_in_plain_text(host, is_let):
    fields = {"base_url": f"http://{host}/v1", "model": "m", "api_key_variable": "VL_KEY"}
    TeacherConfig(**fields | {"base_url": f"https://{host}/v1"})
    TeacherConfig(**fields | {"key_over_http": True})
    TeacherConfig(**fields | {"api_key_variable": ""})
    if is_let:
        TeacherConfig(**fields)
        return
    with pytest.raises(ValidationError, match=r"VL_KEY would go to .* in plain text; use https"):
        TeacherConfig(**fields)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("", "environment variable TEACHER_KEY holds no key"),
        (" \n", "environment variable TEACHER_KEY holds no key"),
        ("sk-ü", "what environment variable TEACHER_KEY holds is no key"),
        ("two words", "what environment variable TEACHER_KEY holds is no key"),
        ("a\nX-Other: b", "what environment variable TEACHER_KEY holds is no key"),
    ],
)
def test_what_is_no_key_is_named_by_its_variable_and_not_shown(monkeypatch, key, complaint):
    monkeypatch.setenv("TEACHER_KEY", key)
    config = TeacherConfig(base_url="https://teacher/v1", model="m", api_key_variable="TEACHER_KEY")
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        key_of(config)
    assert not key.strip() or key not in str(caught.value)


def test_a_build_without_its_key_reads_no_row(tmp_path, monkeypatch):
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    teacher = {"base_url": "https://t/v1", "model": "m", "api_key_variable": "TEACHER_KEY"}
    config = settings(source=write_edits(tmp_path / "data", 3), teacher=teacher)
    with pytest.raises(InvalidInputError, match="environment variable TEACHER_KEY holds no key"):
        build_corpus(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
