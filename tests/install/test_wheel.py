"""What a wheel holds, and that it works by itself in an environment of its own."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.entries import ROOT


def python(program, *arguments, folder):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked():
    """Files as git knows them: what a clone has, without what was made there since."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy without build folders; setuptools would take them for the present."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    # In this environment: what a build by itself needs comes from an index.
    options = ["--quiet", "--no-deps", "--no-build-isolation", f"--wheel-dir={out}"]
    python(sys.executable, "-m", "pip", "wheel", *options, str(checkout), folder=out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_of_the_library_the_components_and_the_pipelines_is_in(names):
    ours = ("components/", "pipelines/", "spatialreward/")
    wanted = {name for name in tracked() if name.startswith(ours) and name.endswith(".py")}
    assert len(wanted) > 200
    assert wanted <= names


def test_the_files_that_modules_read_are_in(names):
    read = ("pipelines/profiles/", "serving/judge/", "spatialreward/world/base_judge/")
    wanted = {name for name in tracked() if name.startswith(read)}
    assert {"serving/judge/config.pbtxt", "pipelines/profiles/tiny.toml"} <= wanted
    assert wanted <= names


def test_what_is_for_a_clone_only_is_not_in(names):
    tops = {name.partition("/")[0] for name in names}
    (about,) = {name for name in tops if name.endswith(".dist-info")}
    assert tops - {about} == {"components", "pipelines", "serving", "spatialreward"}
    assert not any(name.startswith("serving/bench") for name in names)


def test_the_license_is_in(wheel, names):
    (about,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        text = archive.read(f"{about}/licenses/LICENSE").decode()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert text == (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text


@pytest.mark.slow
def test_the_client_alone_works_from_a_clone(checkout, tmp_path):
    python(sys.executable, "-m", "venv", str(tmp_path / "venv"), folder=tmp_path)
    program = tmp_path / "venv" / "bin" / "python"
    options = ["--quiet", "-c", str(checkout / "constraints.txt")]
    python(program, "-m", "pip", "install", *options, f"{checkout}[client]", folder=tmp_path)
    where = python(program, "-c", "import spatialreward; print(spatialreward)", folder=tmp_path)
    assert str(tmp_path / "venv") in where
    python(program, "-c", "import spatialreward.client", folder=tmp_path)
    command = program.with_name("spatialreward")
    for words in ([], ["judge"], ["stack", "up"]):
        assert "Usage: " in python(command, *words, "--help", folder=tmp_path)
    profile = python(program, "-m", "pipelines", "validate", "--profile", "tiny", folder=tmp_path)
    assert profile.startswith("{")
    found = "from spatialreward.cli.deploy_options import own_template; print(own_template())"
    template = Path(python(program, "-c", found, folder=tmp_path).strip())
    assert {path.name for path in template.iterdir()} == {"1", "config.pbtxt"}
