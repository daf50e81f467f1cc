"""Writes a pipeline for Kubeflow Pipelines."""

from enum import StrEnum
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl import pipeline_channel

from spatialreward.ops.kubeflow.package import read_package


class Form(StrEnum):
    """Output format."""

    PIPELINE = "pipeline"
    """The format of the API server and its pages."""
    MANIFEST = "manifest"
    """``Pipeline`` and ``PipelineVersion`` objects, to apply or to keep in git."""


def answer_of(task: dsl.PipelineTask) -> pipeline_channel.PipelineChannel:
    """The return value of a task's function, as opposed to its artifacts."""
    return task.outputs["Output"]


def write_pipeline(
    pipeline: dsl.base_component.BaseComponent, out: Path, form: Form = Form.PIPELINE
) -> None:
    """Compile a pipeline into a YAML file.

    A version object has the name that ``spatialreward submit`` gives to the same content, so that
    other content is another object.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(out))
    if form is Form.PIPELINE:
        return
    package = read_package(out)
    options = compiler.compiler_utils.KubernetesManifestOptions(
        pipeline_version_name=f"{package.name}-{package.version_name}",
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        pipeline,
        str(out),
        kubernetes_manifest_format=True,
        kubernetes_manifest_options=options,
    )
