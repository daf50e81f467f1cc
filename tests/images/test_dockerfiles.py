import re
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.images.catalogue import IMAGES, ROOT, third_party

HADOLINT = Path(sys.executable).with_name("hadolint")
DOCKERFILES = sorted({image.dockerfile for image in IMAGES})
FINAL = [image for image in IMAGES if image.pushed]


def instructions(dockerfile):
    """Instructions of a Dockerfile, each on one line, without comments."""
    lines = [
        line for line in (ROOT / dockerfile).read_text().splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [line for line in joined.splitlines() if line.strip()]


def last_stage(dockerfile):
    found = instructions(dockerfile)
    start = max(number for number, line in enumerate(found) if line.startswith("FROM "))
    return found[start:]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_hadolint_has_nothing_to_say(dockerfile):
    answer = subprocess.run(
        [HADOLINT, "--no-color", dockerfile], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout) == (0, "")


def test_hadolint_would_say_something(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN cd /x && pip install a\n")
    answer = subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, check=False)
    assert answer.returncode == 1


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_hadolint_is_reported_to_pass_over_has_a_reason(dockerfile):
    lines = (ROOT / dockerfile).read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("# hadolint ignore="):
            for rule in line.partition("=")[2].split(","):
                assert lines[number - 1].startswith(f"# {rule}: ")


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_bases_are_arguments_with_exact_defaults(dockerfile):
    found = instructions(dockerfile)
    name, default = found[0].removeprefix("ARG ").split("=")
    stages = {line.split(" AS ")[1] for line in found if " AS " in line}
    for line in found:
        if line.startswith("FROM "):
            assert line.split()[1] in {f"${{{name}}}", *stages}
    assert default in {
        *third_party().values(),
        "spatialreward/base:0.1.0",
        "spatialreward/torch:0.1.0",
    }


@pytest.mark.parametrize("image", FINAL, ids=lambda image: image.name)
def test_a_component_stands_on_what_it_is_built_on(image):
    default = instructions(image.dockerfile)[0].partition("=")[2]
    others = {"mlflow": "BASE_IMAGE", "serving": "TRITON_IMAGE"}
    assert default == (image.base or third_party()[others[image.name]])


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_a_container_ends_up_as_nobody_in_particular(dockerfile):
    users = [line for line in last_stage(dockerfile) if line.startswith("USER ")]
    # A component's image has its user from the base, unless it changes it.
    assert not users or users[-1] == "USER 10001:10001"
    if dockerfile in {"serving/Dockerfile", "manifests/images/mlflow/Dockerfile"}:
        assert users


def test_every_target_of_the_base_ends_up_as_nobody_in_particular():
    users = {}
    stage = ""
    for line in instructions("components/base.Dockerfile"):
        if line.startswith("FROM "):
            stage = line.partition(" AS ")[2]
        if line.startswith("USER "):
            users[stage] = line
    assert users == {"base": "USER 10001:10001", "torch": "USER 10001:10001"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_code_comes_after_every_dependency(dockerfile):
    """So that a change of code never installs anything again."""
    found = instructions(dockerfile)
    code = [
        n
        for n, line in enumerate(found)
        if re.match("COPY (spatialreward|components|serving)/? ?", line)
    ]
    installs = [
        n
        for n, line in enumerate(found)
        if "pip" in line and "install" in line and line.startswith("RUN")
    ]
    assert not code or not installs or min(code) > max(installs)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_is_installed_is_constrained(dockerfile):
    for line in instructions(dockerfile):
        for command in re.findall(r"pip[^&;|]* install [^&;|]*", line):
            assert "--constraint /opt/venv/constraints" in command or re.search(
                r"--no-deps \S+==[\d.]+", command
            )


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_nothing_says_where_packages_come_from(dockerfile):
    text = (ROOT / dockerfile).read_text()
    assert not re.search(r"https?://|--index-url|--find-links|--trusted-host", text)


def test_nothing_but_what_is_copied_reaches_a_build():
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = set()
    for dockerfile in DOCKERFILES:
        for line in instructions(dockerfile):
            if line.startswith("COPY ") and "--from" not in line:
                copied |= set(line.split()[1:-1])
    assert all(any(name == top or name.startswith(f"{top}/") for top in allowed) for name in copied)
    assert all(any(name == top or name.startswith(f"{top}/") for name in copied) for top in allowed)
    for name in copied:
        assert (ROOT / name).exists()
