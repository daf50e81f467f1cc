import stat
import sys
import tomllib

import pytest

from manifests.images.catalogue import Image
from manifests.images.engine import Engine, Kind
from manifests.images.errors import ImageError
from manifests.images.locks import read_lock, write_lock
from manifests.images.pins import pin, push_images
from manifests.images.references import Reference
from manifests.images.registry import resolve_digest
from tests.images.registry import INDEX, MANIFEST, digest_of, running_registry

DIGEST = "sha256:" + "0" * 64

# Pushes as podman and buildah do: the registry gets a manifest, the file its digest.
PUSHER = """#!{python}
import hashlib, http.client, pathlib, sys
push, digestfile, insecure, tag, target = sys.argv[1:]
assert (push, insecure) == ("push", "--tls-verify=false")
host, _, rest = target.removeprefix("docker://").partition("/")
repository, _, version = rest.rpartition(":")
if "mlflow" in tag:
    sys.exit("Error: mlflow: no such image")
body = tag.encode()
http_connection = http.client.HTTPConnection(host)
http_connection.request("PUT", f"/v2/{{repository}}/manifests/{{version}}", body,
                        {{"Content-Type": "{media_type}"}})
assert http_connection.getresponse().status == 201
digest = "sha256:" + hashlib.sha256(body).hexdigest()
pathlib.Path(digestfile.removeprefix("--digestfile=")).write_text(digest)
"""


@pytest.fixture
def registry():
    with running_registry() as registry:
        yield registry


@pytest.fixture
def engine(tmp_path):
    program = tmp_path / "podman"
    program.write_text(PUSHER.format(python=sys.executable, media_type=MANIFEST))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Engine(Kind.PODMAN, str(program))


def resolve(registry, image="python:3.11"):
    return resolve_digest(Reference.parse(f"{registry.address}/{image}"))


def test_a_tag_is_the_digest_of_what_the_registry_sends(registry):
    digest = registry.add("python", "3.11", ["a"])
    other = registry.add("python", "3.12", ["b"], MANIFEST)
    assert resolve(registry) == digest
    assert resolve(registry, "python:3.12") == other != digest


def test_a_registry_that_wants_a_token_is_asked_again_with_one(registry):
    digest = registry.add("library/python", "3.11", ["a"])
    registry.needs_token = True
    assert resolve(registry, "library/python:3.11") == digest
    paths = [path for path, _ in registry.requests]
    assert paths[1] == "/token?service=registry&scope=repository%3Ax%3Apull"
    assert registry.requests[-1][1] == "Bearer let-me-in"


def test_nobody_is_sent_for_a_token_over_plain_http(registry):
    registry.needs_token = True
    registry.token_url = "http://elsewhere.example/token"
    with pytest.raises(ImageError, match=r"http://elsewhere\.example/token, which is not https"):
        resolve(registry)


def test_a_registry_that_contradicts_itself_is_not_believed(registry):
    digest = registry.add("python", "3.11", ["a"])
    registry.claims = DIGEST
    with pytest.raises(ImageError, match=f"expected {DIGEST}, got {digest}"):
        resolve(registry)


def test_another_image_under_a_digest_is_not_believed(registry):
    registry.add("python", DIGEST, ["not what the digest says"])
    with pytest.raises(ImageError, match=f"expected {DIGEST}, got sha256:"):
        resolve(registry, f"python@{DIGEST}")


def test_an_image_that_is_not_there_is_named(registry):
    with pytest.raises(ImageError, match=r"/v2/python/manifests/3\.11: status 404"):
        resolve(registry)


def test_a_page_that_is_no_manifest_is_no_image(registry):
    registry.manifests["python", "3.11"] = INDEX.replace("index", "config"), b"{}"
    with pytest.raises(ImageError, match="status 404"):
        resolve(registry)


def test_a_registry_that_is_not_there_cannot_be_reached():
    with running_registry() as gone:
        pass
    with pytest.raises(ImageError, match="cannot be reached"):
        resolve(gone)


def test_only_what_was_resolved_is_written(registry, tmp_path):
    lock = tmp_path / "bases.lock"
    there, gone, old = (f"{registry.address}/{name}:1" for name in ("there", "gone", "old"))
    digest = registry.add("there", "1", ["a"])
    write_lock(
        lock, {gone: f"{registry.address}/gone@{DIGEST}", old: f"x.y/old@{DIGEST}"}, "before"
    )
    pinned = pin([there, gone], lock)
    assert pinned.resolved == {there: f"{registry.address}/there@{digest}"}
    assert "status 404" in pinned.failed[gone]
    # Removes unused pins, and keeps those that could not be resolved.
    assert read_lock(lock) == {
        there: f"{registry.address}/there@{digest}",
        gone: f"{registry.address}/gone@{DIGEST}",
    }


def test_nothing_is_written_where_nothing_was_resolved(registry, tmp_path):
    pinned = pin([f"{registry.address}/gone:1"], tmp_path / "bases.lock")
    assert not pinned.resolved
    assert not (tmp_path / "bases.lock").exists()


def test_a_push_is_locked_by_the_digest_that_the_registry_has(registry, engine, tmp_path):
    lock = tmp_path / "images.lock"
    write_lock(lock, {"spatialreward/other:0.1.0": f"x.y/other@{DIGEST}"}, "before")
    image = Image("serving", "serving/Dockerfile", "triton")
    push_images(engine, [image], f"{registry.address}/team/", lock)
    _, body = registry.manifests["team/spatialreward/serving", "0.1.0"]
    assert tomllib.loads(lock.read_text())["images"] == {
        "spatialreward/other:0.1.0": f"x.y/other@{DIGEST}",
        "spatialreward/serving:0.1.0": f"{registry.address}/team/spatialreward/serving"
        f"@{digest_of(body)}",
    }


def test_what_was_pushed_before_a_failure_is_locked(registry, engine, tmp_path):
    lock = tmp_path / "images.lock"
    images = [Image(name, "Dockerfile", "python") for name in ("serving", "mlflow")]
    with pytest.raises(ImageError, match="mlflow: no such image"):
        push_images(engine, images, registry.address, lock)
    assert list(read_lock(lock)) == ["spatialreward/serving:0.1.0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[images", "expected TOML"),
        ("[other]", "expected TOML with a table"),
        ('[images]\na = "x.y/a:1"', "a: expected REPOSITORY@sha256"),
    ],
)
def test_a_lock_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "images.lock").write_text(text)
    with pytest.raises(ImageError, match=said):
        read_lock(tmp_path / "images.lock")


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("python:3.11", "docker.io", "library/python", "3.11"),
        ("chrislusf/seaweedfs:4.48", "docker.io", "chrislusf/seaweedfs", "4.48"),
        ("nvcr.io/nvidia/tritonserver:26.09-py3", "nvcr.io", "nvidia/tritonserver", "26.09-py3"),
        ("localhost/a:1", "localhost", "a", "1"),
        ("127.0.0.1:5000/team/a:1", "127.0.0.1:5000", "team/a", "1"),
    ],
)
def test_a_reference_is_taken_apart(text, registry, repository, tag):
    assert Reference.parse(text) == Reference(registry, repository, tag)


def test_a_pinned_reference_is_read_again():
    pinned = Reference.parse("python:3.11").pinned(DIGEST)
    assert pinned == f"docker.io/library/python@{DIGEST}"
    assert Reference.parse(pinned) == Reference("docker.io", "library/python", "", DIGEST)


@pytest.mark.parametrize(
    "text", ["", "python", "Python:3.11", "python:3.11@sha256:12", "a b:1", "a//b:1", "a:1:2"]
)
def test_what_names_no_image_is_refused(text):
    with pytest.raises(ImageError, match="expected REPOSITORY:TAG"):
        Reference.parse(text)
