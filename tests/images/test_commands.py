"""Building, pinning and pushing, by programs that note how they are called."""

import re
import tomllib

import pytest
from typer.testing import CliRunner

from manifests.images import __main__ as commands
from manifests.images.catalogue import BASES_FILE, IMAGES, ROOT, third_party

DIGEST, OLD = (f"sha256:{digit * 64}" for digit in "10")
REPORT = f"""
for one in arguments:
    if one.startswith("--digestfile="):
        open(one.partition("=")[2], "w").write("{DIGEST}")
"""


def run(*words):
    return CliRunner().invoke(commands.app, words)


@pytest.fixture
def lock(tmp_path, monkeypatch):
    path = tmp_path / "images.lock"
    monkeypatch.setattr(commands, "LOCK_FILE", path)
    return path


@pytest.fixture
def bases(tmp_path, monkeypatch):
    path = tmp_path / "bases.env"
    path.write_text(BASES_FILE.read_text())
    monkeypatch.setattr(commands, "BASES_FILE", path)
    return path


def test_the_first_engine_that_works_builds(programs):
    programs("docker", "sys.exit('no daemon')")
    programs("podman")
    assert run("build", "--only=mlflow").exit_code == 0
    assert [call[0] for call in programs.calls("podman")] == ["info", "build"]


def test_each_engine_that_does_not_work_has_its_reason(programs):
    programs("docker", "sys.exit('no daemon')")
    said = run("build").output
    assert "docker info: no daemon; podman: not installed; buildah: not installed" in said
    assert "(buildah: not installed)" in run("build", "--engine=buildah").output


@pytest.mark.parametrize("engine", list(commands.Engine))
def test_all_engines_are_given_the_same(programs, engine, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_CERT", raising=False)
    programs(engine)
    done = run("build", "--only=reward-training", "--", "--volume=/wheels:/wheels:ro")
    assert done.exit_code == 0, done.output
    tags = ["base", "torch", "reward-training"]
    builds = [call for call in programs.calls(engine) if call[0] == "build"][-2:]
    assert [call[2] for call in builds] == [f"--tag=spatialreward/{tag}:0.1.0" for tag in tags[1:]]
    torch, training = builds
    assert torch[1] == f"--file={ROOT}/components/base.Dockerfile"
    assert {"--target=torch", "--build-arg=VARIANT=cpu"} < set(torch)
    assert "--build-arg=BASE=spatialreward/torch:0.1.0" in training
    assert training[-2:] == ["--volume=/wheels:/wheels:ro", str(ROOT)]
    secrets = [word for word in training if word.startswith("--secret")]
    assert secrets == [f"--secret=id=pip.conf,src={tmp_path}/pip.conf"]
    assert ("--layers" in training) == (engine == "buildah")


def test_a_build_has_the_commit_and_the_bases_of_the_environment(programs, monkeypatch):
    monkeypatch.setenv("BASE_IMAGE", "localhost/stand-in:1")
    programs("docker")
    assert run("build", "--only=base").exit_code == 0
    words = programs.calls("docker")[-1]
    assert "--build-arg=BASE_IMAGE=localhost/stand-in:1" in words
    labels = dict(re.findall(r"--label=org\.opencontainers\.image\.(\w+)=(\S*)", " ".join(words)))
    # Empty only where the source was unpacked from an archive.
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", labels["revision"])
        assert re.match(r"\d{4}-\d\d-\d\dT", labels["created"])


def test_a_build_that_fails_is_named(programs):
    programs("podman", "sys.exit(3 if arguments[0] == 'build' else 0)")
    said = run("build", "--only=mlflow").output
    assert "spatialreward/mlflow:0.1.0: podman build ended with status 3" in said


def test_an_image_that_does_not_exist_is_named(programs):
    programs("docker")
    assert (
        "--only nosuch: no such image, expected one of base, torch"
        in run("build", "--only=nosuch").output
    )


@pytest.mark.parametrize("engine", ["docker", "buildah"])
def test_bases_are_pinned_and_builds_go_by_their_digests(programs, bases, engine):
    programs(engine, f"print('{DIGEST}')")
    programs("skopeo", f"print('{DIGEST}')")
    for _ in range(2):
        assert run("pin").exit_code == 0
    for name, tag in third_party().items():
        assert f"\n{name}={tag}@{DIGEST}\n" in bases.read_text()
    assert len(bases.read_text().splitlines()) == len(BASES_FILE.read_text().splitlines())
    assert run("build", "--only=base").exit_code == 0
    base = f"--build-arg=BASE_IMAGE={third_party()['BASE_IMAGE']}@{DIGEST}"
    assert base in programs.calls(engine)[-1]


def test_an_image_that_cannot_be_resolved_keeps_its_digest(programs, bases):
    bases.write_text(f"BASE_IMAGE={third_party()['BASE_IMAGE']}@{OLD}\n")
    programs("podman")
    programs(
        "skopeo",
        "sys.exit('unreachable') if 'python' in arguments[-1] else print('" + DIGEST + "')",
    )
    done = run("pin")
    assert done.exit_code == 1
    assert "python:3.11.15-slim-bookworm: not resolved: skopeo inspect" in done.output
    assert bases.read_text() == f"BASE_IMAGE={third_party()['BASE_IMAGE']}@{OLD}\n"


@pytest.mark.parametrize("engine", list(commands.Engine))
def test_a_push_is_locked_by_the_digest_that_it_reports(programs, lock, engine):
    lock.write_text(f'[images]\n"spatialreward/other:0.1.0" = "x.y/other@{OLD}"\n')
    programs(engine, f"print('0.1.0: digest: {DIGEST} size: 1')" + REPORT)
    done = run("push", "--registry=localhost:5000/team/", "--only=serving", "--", "--quiet")
    assert done.exit_code == 0, done.output
    assert tomllib.loads(lock.read_text())["images"] == {
        "spatialreward/other:0.1.0": f"x.y/other@{OLD}",
        "spatialreward/serving:0.1.0": f"localhost:5000/team/spatialreward/serving@{DIGEST}",
    }
    target = "localhost:5000/team/spatialreward/serving:0.1.0"
    words = programs.calls(engine)[-1]
    assert words[0] == "push"
    assert "--quiet" in words
    assert words[-1] == (target if engine == "docker" else f"docker://{target}")


def test_a_push_that_fails_loses_no_digest_and_one_without_a_digest_is_none(programs, lock):
    code = "if arguments[0] == 'push' and 'mlflow' in arguments[-1]: sys.exit('denied')\n"
    programs("docker", code + f"print('digest: {DIGEST}')")
    done = run("push", "--registry=x.y")
    assert done.exit_code == 1
    assert "docker push x.y/spatialreward/mlflow:0.1.0: denied" in done.output
    pushed = {image.tag for image in IMAGES if image.pushed and image.name != "mlflow"}
    assert set(tomllib.loads(lock.read_text())["images"]) == pushed
    programs("docker", "print('done')")
    assert "expected a digest, got 'done'" in run("push", "--registry=x.y").output
