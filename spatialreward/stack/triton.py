"""Triton's server from the ``nvidia-pytriton`` wheel, with the Python backend and no model loaded.

The wheel needs numpy 1, so it lives in an environment of its own and is started from there; only
this library's own source is put in that environment's reach, never another environment's packages:
with numpy 2 in reach the backend returns empty tensors and no error.
"""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

import spatialreward
from spatialreward.records import Record
from spatialreward.stack.config import Service, StackConfig, StackError
from spatialreward.stack.endpoints import TritonEndpoint
from spatialreward.stack.launch import TRITON_HEALTH, Launch
from spatialreward.stack.ports import LOOPBACK, require_free

_RESTRICTED = "model-repository,shared-memory,trace,logging"
_KEY_NAME = "key"
_STUB = "triton_python_backend_stub"
# On a busy machine importing torch takes longer than the 30 s that are the default; the server does
# not survive a model that is late.
_MODEL_START_S = 300
_DESCRIBE = """
import json, sys, sysconfig
print(json.dumps({
    "packages": sysconfig.get_path("purelib"),
    "library_dir": sysconfig.get_config_var("LIBDIR") or "",
    "version": "%d.%d" % sys.version_info[:2],
    "prefix": sys.prefix,
}))
"""


def restricted_by(key: str) -> list[str]:
    """Options under which loading and unloading, shared memory, tracing and logging ask for a key.

    Loading a model is code execution, and a web page may post to loopback. Over gRPC the key comes
    as the metadata ``triton-grpc-protocol-key``, over HTTP as the header ``key``. Judging, health
    and metrics stay open.
    """
    restriction = f"{_RESTRICTED}:{_KEY_NAME}={key}"
    return [f"--http-restricted-api={restriction}", f"--grpc-restricted-protocol={restriction}"]


class _TritonEnvironment(Record):
    """What Triton's environment says about itself."""

    packages: Path
    library_dir: Path
    version: str
    prefix: Path

    @property
    def server(self) -> Path:
        return self.packages / "pytriton" / "tritonserver"


def launch_triton(config: StackConfig, free: Iterator[int]) -> tuple[Launch, TritonEndpoint]:
    """Prepare Triton in explicit model control; the model repository is kept between starts.

    The key to it is a new one at each start.
    """
    python = config.triton_python.absolute()
    environment = _describe(python)
    folder = config.state_dir / "triton"
    if any(character.isspace() for character in str(folder)):
        # Its Python backend starts models by a shell, and does not quote.
        raise StackError(
            f"triton: no model starts in {folder}: choose a --state-dir without spaces"
        )
    repository = folder / "models"
    repository.mkdir(parents=True, exist_ok=True)
    backend = folder / "backends" / "python"
    _prepare_backend(environment, backend)
    _link_library(backend)
    ports = {
        "http": require_free(config.ports.triton_http or next(free), "triton's HTTP"),
        "grpc": require_free(config.ports.triton_grpc or next(free), "triton's gRPC"),
        "metrics": require_free(config.ports.triton_metrics or next(free), "triton's metrics"),
    }
    shared_memory = "spatialreward_" + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    key = secrets.token_hex(20)
    listen = [
        option
        for kind, port in ports.items()
        for option in (f"--{kind}-address={LOOPBACK}", f"--{kind}-port={port}")
    ]
    command = [
        str(environment.server / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        f"--backend-directory={folder / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        f"--backend-config=python,stub-timeout-seconds={_MODEL_START_S}",
        "--exit-timeout-secs=5",
        *restricted_by(key),
        *listen,
    ]
    launch = Launch(
        service=Service.TRITON,
        command=command,
        environment=_server_environment(environment, python),
        folder=folder,
        health_url=f"http://{LOOPBACK}:{ports['http']}{TRITON_HEALTH}",
        litter=(f"/dev/shm/{shared_memory}*",),
        secrets=(key,),
    )
    endpoint = TritonEndpoint(
        http=f"{LOOPBACK}:{ports['http']}",
        grpc=f"{LOOPBACK}:{ports['grpc']}",
        metrics=f"http://{LOOPBACK}:{ports['metrics']}/metrics",
        model_repository=repository,
        repository_key=key,
    )
    return launch, endpoint


def _describe(python: Path) -> _TritonEnvironment:
    if not python.exists():
        raise StackError(
            f"triton: there is no {python}: name the interpreter of Triton's environment with "
            "--triton-python or SPATIALREWARD_TRITON_PYTHON"
        )
    try:
        # Isolated: what the caller's own environment variables add is not what Triton will see.
        answer = subprocess.run(
            [python, "-I", "-c", _DESCRIBE], capture_output=True, check=True, timeout=60
        )
        environment = _TritonEnvironment.model_validate(json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, ValidationError) as error:
        raise StackError(f"triton: {python} does not answer like a Python interpreter") from error
    if not (environment.server / "bin" / "tritonserver").exists():
        raise StackError(
            f"triton: the environment of {python} has no server: "
            "pip install --no-deps nvidia-pytriton==0.7.0 numpy==1.26.4"
        )
    return environment


def _prepare_backend(environment: _TritonEnvironment, folder: Path) -> None:
    """Bring together what the wheel keeps apart: the Python backend and its stub."""
    stub = environment.server / "python_backend_stubs" / environment.version / _STUB
    if not stub.exists():
        raise StackError(f"triton: the server has no Python backend for {environment.version}")
    backend = environment.server / "backends" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*(path for path in backend.iterdir() if path.is_file()), stub):
        shutil.copy2(source, folder / source.name)


def _link_library(backend: Path) -> None:
    """Put this library, and nothing else of its environment, where models can import it.

    The backend's processes are isolated from PYTHONPATH; their backend's folder they do look in.
    """
    link = backend / "spatialreward"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(spatialreward.__file__).parent, target_is_directory=True)


def _server_environment(environment: _TritonEnvironment, python: Path) -> dict[str, str]:
    libraries = [environment.library_dir, environment.packages / "nvidia_pytriton.libs"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    inherited = variables.get("LD_LIBRARY_PATH")
    return variables | {
        # The stub takes its prefix from the `python3` that it finds first.
        "PATH": os.pathsep.join([str(python.parent), variables.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join([*map(str, libraries), *filter(None, [inherited])]),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "VIRTUAL_ENV": str(environment.prefix),
    }
