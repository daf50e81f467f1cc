"""Follows a run to its end, also through times in which its server does not answer."""

import time
from collections.abc import Callable, Iterator, Mapping

from spatialreward.ops.kubeflow.client import KubeflowPipelines
from spatialreward.ops.kubeflow.errors import (
    AnswerLost,
    CertificateRefused,
    KubeflowError,
    ServerFault,
    ServerUnreachable,
)
from spatialreward.ops.kubeflow.package import Step, steps_of
from spatialreward.ops.kubeflow.records import Run

PATIENCE_S = 900.0
"""How long a server may be away: a restart, a rollout, a broken port-forward."""


def follow(
    client: KubeflowPipelines,
    run_id: str,
    every_s: float,
    on_silence: Callable[[KubeflowError], object],
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Run]:
    """Ask for a run again and again; yields each answer, at last that of its end.

    Args:
        client: of the server.
        run_id: which run.
        every_s: waits between answers.
        on_silence: told why, each time that the server does not answer.
        patience_s: how long it may not answer, from the first time that it does not.
        clock: tells seconds.

    Raises:
        KubeflowError: the server refuses, or was away too long. The run goes on.
    """
    silent_since: float | None = None
    while True:
        try:
            run = client.run(run_id)
        except (ServerUnreachable, AnswerLost, ServerFault) as error:
            now = clock()
            silent_since = now if silent_since is None else silent_since
            if isinstance(error, CertificateRefused) or now - silent_since >= patience_s:
                raise
            on_silence(error)
        else:
            silent_since = None
            yield run
            if run.is_over:
                return
        client.pause(every_s)


def steps_of_run(client: KubeflowPipelines, run: Run) -> list[Step]:
    """The steps of a run's pipeline; empty where the server does not hand it out."""
    spec: Mapping[str, object] | None = run.pipeline_spec
    reference = run.pipeline_version_reference
    if spec is None and reference is not None and reference.pipeline_version_id:
        try:
            version = client.version(reference.pipeline_id, reference.pipeline_version_id)
        except KubeflowError:
            # The version may have been deleted, or belong to somebody else: the run is shown still.
            return []
        spec = version.pipeline_spec
    return steps_of(spec) if spec is not None else []
