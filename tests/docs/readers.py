"""Settings and records of the docs, read by what reads them in the library."""

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import text_format
from pydantic import BaseModel, ValidationError
from tritonclient.grpc import model_config_pb2

from manifests.site import images_component, site
from pipelines.images import read_lock
from pipelines.profile import load_profile
from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.cli.edits import EditRequest
from spatialreward.client.config import ClientConfig
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import FolderManifest
from spatialreward.ops.deployer.config import DeployerConfig
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL, Protocol
from spatialreward.serving.config import ServingConfig
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.grpo_config import GrpoConfig
from tests.entries import ROOT
from tests.manifests.cluster import LOCAL, kustomize, render

_LOCAL = {"kind": "local", "endpoint": "triton:8001", "repository": "models", "template": "judge"}
_SETTINGS: dict[type[BaseModel], dict[str, Any]] = {
    CorpusConfig: {"name": "edits", "source": {"kind": "world"}},
    DeployerConfig: {"backend": _LOCAL},
    ClientConfig: {"endpoints": ["triton:8001"]},
    JudgeGate: {},
    JudgeTrainingConfig: {},
    EditorGate: {},
    GrpoConfig: {},
}
"""Records that a file of settings may hold, with what a part of such a file leaves out."""
_OUR_NAME = re.compile(r"spatialreward(?:\.\w+)+")


def read_toml(text: str) -> None:
    """Read settings, or a part of them: one of the records must take every key.

    Raises:
        ValueError: none takes them; it says why each does not.
    """
    found = tomllib.loads(text)
    path = Path("settings.toml")
    path.write_text(text)
    if set(found) == {"images"}:
        read_lock(path)
        return
    problems = []
    for record, rest in _SETTINGS.items():
        try:
            record.model_validate(rest | found)
        except ValidationError as error:
            problems.append(f"{record.__name__}: {error}")
        else:
            return
    try:
        load_profile(str(path))
    except InvalidInputError as error:
        raise ValueError("\n".join([*problems, str(error)])) from error


def read_json(text: str) -> None:
    """Read an answer, a checkpoint's prompts, an artifact's manifest, or another object."""
    found = json.loads(text)
    if "score" in found:
        (parse_semantic if "edit_region" in found else parse_perceptual)(text)
    elif set(found) == {"semantic", "perceptual"}:
        Protocol.model_validate(FULL.model_dump() | found)
    elif set(found) == {"files", "version"}:
        manifest = FolderManifest.parse(text.encode(), "manifest")
        assert manifest.content.decode() == text.strip(), "as it is stored"


def read_jsonl(text: str) -> None:
    """Read lines, each an edit to judge, a line of the server's log, or another object."""
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    assert lines
    for line in lines:
        if {"id", "source", "edited"} <= set(line):
            EditRequest.model_validate(line)
        elif "event" in line:
            assert {"time", "level"} <= set(line)
        assert isinstance(line, dict)


def read_yaml(text: str) -> None:
    """Read YAML: a kustomization's part changes what is rendered, a name of ours is there."""
    (found,) = yaml.safe_load_all(text)
    if "patches" in found or "resources" in found:
        assert _rendered_with(found) != render(LOCAL)
    for name in _OUR_NAME.findall(text):
        module, _, attribute = name.rpartition(".")
        path = ROOT / f"{module.replace('.', '/')}.py"
        defined = {getattr(one, "name", "") for one in ast.parse(path.read_text()).body}
        assert attribute in defined, f"{name}: there is no such thing"


def _rendered_with(part: dict[str, Any]) -> list[Any]:
    here = Path.cwd().resolve() / "kustomization"
    (here / "images").mkdir(parents=True)
    images = yaml.safe_dump(images_component([]))
    (here / "images" / "kustomization.yaml").write_text(images)
    whole = site(here, LOCAL.overlay, LOCAL.components) | part
    (here / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    return kustomize(here)


def read_pbtxt(text: str) -> None:
    """Read parameters of a Triton model."""
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.parameters
    given = {name: one.string_value for name, one in config.parameters.items()}
    unknown = given.keys() - ServingConfig.of_parameters(given).model_fields_set
    assert not unknown, f"{unknown}: no parameters of a served judge"


def check_python(text: str) -> None:
    """Compile Python that needs something, and look that our names in it are there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spatialreward"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


READERS: dict[str, Callable[[str], None]] = {
    "json": read_json,
    "jsonl": read_jsonl,
    "pbtxt": read_pbtxt,
    "toml": read_toml,
    "yaml": read_yaml,
}
"""By kind of block."""
