import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.images.containers import Container, options_of, run
from manifests.images.engine import BuildRequest, Engine, Kind, find_engine
from manifests.images.errors import ImageError

DIGEST = "sha256:" + "1" * 64


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs that note how they are called; nothing else is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, status=0, says=""):
        program = folder / name
        program.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"open({str(tmp_path / name)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            f"print({says!r})\nprint('it is broken', file=sys.stderr)\nsys.exit({status})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return Engine(Kind(name), str(program))

    make.calls = lambda name: [
        json.loads(line) for line in (tmp_path / name).read_text().splitlines()
    ]
    return make


def request(tmp_path, folders=()):
    return BuildRequest(
        tag="a:1",
        dockerfile=Path("a/Dockerfile"),
        context=tmp_path,
        target="final",
        arguments={"VARIANT": "cpu"},
        secrets={"pip.conf": Path("/s/pip.conf")},
        folders=folders,
    )


def test_an_engine_that_does_not_work_is_passed_over(programs):
    programs("docker", status=1)
    programs("podman")
    assert find_engine().kind is Kind.PODMAN


def test_of_each_engine_that_does_not_work_the_reason_is_said(programs):
    programs("docker", status=1)
    with pytest.raises(ImageError) as failure:
        find_engine()
    assert str(failure.value) == (
        "no container engine works here (docker: it is broken; podman: not installed; "
        "buildah: not installed)"
    )


def test_the_engine_that_is_wanted_is_the_one_that_is_tried(programs):
    programs("docker")
    with pytest.raises(ImageError, match=r"\(buildah: not installed\)"):
        find_engine(Kind.BUILDAH)


def test_podman_and_buildah_mount_folders_into_a_build(programs, tmp_path):
    programs("buildah").build(request(tmp_path, [Path("/wheels")]))
    assert programs.calls("buildah") == [
        [
            *("build", "--file", "a/Dockerfile", "--tag", "a:1", "--layers", "--target", "final"),
            *("--build-arg", "VARIANT=cpu", "--secret", "id=pip.conf,src=/s/pip.conf"),
            *("--volume", "/wheels:/wheels:ro", str(tmp_path)),
        ]
    ]


def test_docker_says_that_it_cannot_mount_folders_into_a_build(programs, tmp_path):
    with pytest.raises(ImageError, match="docker: a build cannot read /wheels"):
        programs("docker").build(request(tmp_path, [Path("/wheels")]))


def test_docker_builds_without_folders(programs, tmp_path):
    programs("docker").build(request(tmp_path))
    assert "--layers" not in programs.calls("docker")[0]


def test_a_build_that_fails_is_named(programs, tmp_path):
    with pytest.raises(ImageError, match="a:1: podman build ended with status 3"):
        programs("podman", status=3).build(request(tmp_path))


def test_dockers_push_is_read_for_its_digest(programs):
    engine = programs("docker", says=f"1: digest: {DIGEST} size: 1234")
    assert engine.push("a:1", "x.y/a:1") == DIGEST
    assert programs.calls("docker") == [["tag", "a:1", "x.y/a:1"], ["push", "x.y/a:1"]]


def test_a_push_without_a_digest_is_no_push(programs):
    with pytest.raises(ImageError, match=r"x\.y/a:1: docker reported no digest: 'done"):
        programs("docker", says="done").push("a:1", "x.y/a:1")


def test_buildah_says_that_it_does_not_run_images(programs):
    with pytest.raises(ImageError, match="needs docker or podman"):
        run(programs("buildah"), Container("a:1", []))


def test_a_container_that_fails_says_its_last_words(programs):
    with pytest.raises(ImageError, match="a:1: status 2: it is broken"):
        run(programs("docker", status=2), Container("a:1", []))


@pytest.mark.parametrize("kind", [Kind.DOCKER, Kind.PODMAN])
def test_a_container_is_run_as_restricted_as_in_a_cluster(kind):
    options = options_of(kind, Container("a:1", [], variables={"A": "1"}))
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(options)
    assert "--env=A=1" in options
    assert not any("--user" in option or "--privileged" in option for option in options)


def test_the_probe_finds_what_is_wrong_where_it_runs(tmp_path):
    """Here, where there are compilers and a writable root, and nothing is pinned."""
    (tmp_path / "constraints.txt").write_text("pytest==0.0.1\n")
    probe = Path(__file__).parents[2] / "manifests" / "images" / "probe.py"
    answer = subprocess.run(
        [sys.executable, probe, tmp_path / "constraints.txt", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout)
    assert any(package.startswith("pytest==") for package in found["unpinned"])
    assert set(found) == {"user", "compilers", "writable", "not writable", "unpinned"}
