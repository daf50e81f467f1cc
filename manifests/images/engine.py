"""The container engine of this machine: docker, podman or buildah, whichever works."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from manifests.images.errors import ImageError
from manifests.images.references import Reference
from manifests.images.registry import is_loopback

_PUSHED = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class Kind(StrEnum):
    """Engines, in the order in which they are tried."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"


class BuildRequest(NamedTuple):
    """What is built from what."""

    tag: str
    dockerfile: Path
    context: Path
    target: str
    arguments: Mapping[str, str]
    secrets: Mapping[str, Path]
    folders: Sequence[Path]
    """Folders of this machine that the build reads."""


class Engine(NamedTuple):
    """An engine's program and which kind it is."""

    kind: Kind
    program: str

    def build(self, request: BuildRequest) -> None:
        """Build an image; what the engine says goes to standard error as it comes.

        Raises:
            ImageError: the build failed, or this engine cannot mount what it needs.
        """
        if request.folders and self.kind is Kind.DOCKER:
            raise ImageError(
                f"docker: a build cannot read {request.folders[0]}, which pip's settings name: "
                "use podman or buildah, or an index that is reached over HTTP"
            )
        command = [self.program, "build", "--file", str(request.dockerfile), "--tag", request.tag]
        if self.kind is not Kind.DOCKER:
            command.append("--layers")
        if request.target:
            command += ["--target", request.target]
        for name, value in request.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in request.secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        for folder in request.folders:
            command += ["--volume", f"{folder}:{folder}:ro"]
        self._watch([*command, str(request.context)], request.tag)

    def inspect(self, tag: str) -> dict[str, Any]:
        """What the engine knows of an image: ``Config`` and, but for buildah, ``Size``.

        Raises:
            ImageError: there is no such image.
        """
        if self.kind is Kind.BUILDAH:
            found = json.loads(self._answer(["inspect", "--type", "image", tag]))
            return {"Config": found["OCIv1"]["config"]}
        return json.loads(self._answer(["image", "inspect", tag]))[0]

    def run_command(self, tag: str, command: Sequence[str], options: Sequence[str]) -> list[str]:
        """The command that runs a container which is removed when it ends.

        Raises:
            ImageError: this engine only builds.
        """
        if self.kind is Kind.BUILDAH:
            raise ImageError("buildah builds and pushes; running an image needs docker or podman")
        return [self.program, "run", "--rm", *options, tag, *command]

    def push(self, tag: str, target: str) -> str:
        """Push an image under another name; returns the digest that the push reported.

        Raises:
            ImageError: the push failed, or reported no digest.
        """
        if self.kind is Kind.DOCKER:
            self._answer(["tag", tag, target])
            said = self._answer(["push", target])
        else:
            with TemporaryDirectory() as folder:
                report = Path(folder) / "digest"
                options = [f"--digestfile={report}"]
                if is_loopback(Reference.parse(target).registry):
                    options.append("--tls-verify=false")
                self._answer(["push", *options, tag, f"docker://{target}"])
                said = f"digest: {report.read_text(encoding='utf-8').strip()}"
        found = _PUSHED.search(said)
        if found is None:
            raise ImageError(f"{target}: {self.kind} reported no digest: {said[-200:]!r}")
        return found[1]

    def _answer(self, arguments: Sequence[str]) -> str:
        answer = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise ImageError(f"{self.kind} {shlex.join(arguments)}: {_last_line(answer.stderr)}")
        return answer.stdout

    def _watch(self, command: Sequence[str], what: str) -> None:
        environment = os.environ | {"DOCKER_BUILDKIT": "1"}
        status = subprocess.run(command, env=environment, check=False).returncode
        if status:
            raise ImageError(f"{what}: {self.kind} build ended with status {status}")


def find_engine(wanted: Kind | None = None) -> Engine:
    """The wanted engine, or the first that works on this machine.

    Raises:
        ImageError: none works; says of each why not.
    """
    reasons = []
    for kind in [wanted] if wanted else Kind:
        program = shutil.which(kind)
        if program is None:
            reasons.append(f"{kind}: not installed")
            continue
        # A docker client without its daemon is there, and useless.
        answer = subprocess.run([program, "info"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return Engine(kind, program)
        reasons.append(f"{kind}: {_last_line(answer.stderr)}")
    raise ImageError(f"no container engine works here ({'; '.join(reasons)})")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
