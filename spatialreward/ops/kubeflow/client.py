"""The API of Kubeflow Pipelines (v2beta1, as of 2.17), as far as submissions need it.

Not the client that the project generates from its specification: that one knows no deadlines, asks
again without regard to what is asked, stops at a state that is newer than it is, and puts whole
answers with their headers into its errors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from spatialreward.ops.kubeflow.errors import KubeflowError, NotFound, NotKubeflowPipelines
from spatialreward.ops.kubeflow.records import (
    AnAnswer,
    Experiment,
    Health,
    Pipeline,
    PipelineVersion,
    RecurringRun,
    Run,
    read,
)
from spatialreward.ops.kubeflow.transport import Query, Transport

API = "/apis/v2beta1"
PAGE_SIZE = 100
NEWEST_FIRST = "created_at desc"

Predicate = tuple[str, str, str]
"""Field, operation and text, such as ``("state", "EQUALS", "RUNNING")``."""


class KubeflowPipelines:
    """One API server, and the namespace to work in where it has several."""

    def __init__(self, transport: Transport, namespace: str = "") -> None:
        """Ask nothing yet."""
        self._transport = transport
        self._namespace = namespace

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what is open."""
        self._transport.close()

    @property
    def server(self) -> str:
        """How errors call it."""
        return self._transport.server

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._transport.sleep(seconds)

    def check(self) -> Health:
        """Find out whether the API is there and usable before anything is done.

        Raises:
            KubeflowError: it is not, or several teams share it and no namespace is named.
        """
        health = self._read(Health, self._transport.get(f"{API}/healthz"))
        if health.multi_user and not self._namespace:
            raise KubeflowError(
                f"{self.server} is shared by several namespaces: name yours with --namespace"
            )
        return health

    def find_pipeline(self, name: str) -> Pipeline | None:
        """The pipeline of that name."""
        path = f"{API}/pipelines/names/{quote(name, safe='')}"
        try:
            return self._read(Pipeline, self._transport.get(path, self._in_namespace()))
        except NotFound:
            return None

    def create_pipeline(self, name: str, description: str) -> Pipeline:
        """Make a pipeline without versions; its name is the server's guard against a second."""
        body = {"name": name, "display_name": name, "description": description}
        body |= self._in_namespace()
        answer = self._transport.post(f"{API}/pipelines", body, repeatable=True)
        return self._read(Pipeline, answer)

    def find_version(self, pipeline: Pipeline, name: str) -> PipelineVersion | None:
        """The version of that name."""
        versions = self._list(
            PipelineVersion,
            f"{API}/pipelines/{_part(pipeline.pipeline_id)}/versions",
            "pipeline_versions",
            {"filter": _filter(("name", "EQUALS", name))},
        )
        return next((one for one in versions if name in (one.name, one.display_name)), None)

    def version(self, pipeline_id: str, version_id: str) -> PipelineVersion:
        """A version with what was uploaded."""
        path = f"{API}/pipelines/{_part(pipeline_id)}/versions/{_part(version_id)}"
        return self._read(PipelineVersion, self._transport.get(path))

    def upload_version(
        self, pipeline: Pipeline, name: str, content: bytes, description: str
    ) -> PipelineVersion:
        """Upload a compiled pipeline as a version; the server takes its name only once."""
        query = {"pipelineid": pipeline.pipeline_id, "name": name, "description": description}
        answer = self._transport.upload(
            f"{API}/pipelines/upload_version", query, "pipeline.yaml", content
        )
        return self._read(PipelineVersion, answer)

    def find_experiment(self, name: str) -> Experiment | None:
        """The experiment of that name."""
        found = self._list(
            Experiment,
            f"{API}/experiments",
            "experiments",
            {**self._in_namespace(), "filter": _filter(("display_name", "EQUALS", name))},
        )
        return next((one for one in found if one.display_name == name), None)

    def create_experiment(self, name: str) -> Experiment:
        """Make an experiment; its name is the server's guard against a second."""
        body = {"display_name": name, **self._in_namespace()}
        answer = self._transport.post(f"{API}/experiments", body, repeatable=True)
        return self._read(Experiment, answer)

    def create_run(self, body: Mapping[str, Any]) -> Run:
        """Start a run. Never asked twice: the server would start two."""
        return self._read(Run, self._transport.post(f"{API}/runs", body))

    def run(self, run_id: str) -> Run:
        """A run with its tasks."""
        return self._read(Run, self._transport.get(f"{API}/runs/{_part(run_id)}"))

    def runs(
        self, *predicates: Predicate, experiment_id: str = "", limit: int | None = None
    ) -> Iterator[Run]:
        """Runs for which all predicates hold, the newest first."""
        query: dict[str, str | int] = {**self._in_namespace(), "sort_by": NEWEST_FIRST}
        if predicates:
            query["filter"] = _filter(*predicates)
        if experiment_id:
            query["experiment_id"] = experiment_id
        return self._list(Run, f"{API}/runs", "runs", query, limit)

    def retry(self, run_id: str) -> None:
        """Do what failed again; never asked twice."""
        self._transport.post(f"{API}/runs/{_part(run_id)}:retry")

    def terminate(self, run_id: str) -> None:
        """Cancel a run."""
        self._transport.post(f"{API}/runs/{_part(run_id)}:terminate")

    def archive(self, run_id: str) -> None:
        """Hide a run."""
        self._transport.post(f"{API}/runs/{_part(run_id)}:archive", repeatable=True)

    def create_schedule(self, body: Mapping[str, Any]) -> RecurringRun:
        """Make a schedule. Never asked twice: the server would make two."""
        return self._read(RecurringRun, self._transport.post(f"{API}/recurringruns", body))

    def schedules(self, *predicates: Predicate) -> Iterator[RecurringRun]:
        """Schedules for which all predicates hold, the newest first."""
        query: dict[str, str | int] = {**self._in_namespace(), "sort_by": NEWEST_FIRST}
        if predicates:
            query["filter"] = _filter(*predicates)
        return self._list(RecurringRun, f"{API}/recurringruns", "recurringRuns", query)

    def enable_schedule(self, schedule_id: str, *, enabled: bool) -> None:
        """Let a schedule start runs, or not."""
        verb = "enable" if enabled else "disable"
        path = f"{API}/recurringruns/{_part(schedule_id)}:{verb}"
        self._transport.post(path, repeatable=True)

    def delete_schedule(self, schedule_id: str) -> None:
        """Remove a schedule; runs that it started stay."""
        self._transport.delete(f"{API}/recurringruns/{_part(schedule_id)}")

    def _in_namespace(self) -> dict[str, str]:
        return {"namespace": self._namespace} if self._namespace else {}

    def _read(self, kind: type[AnAnswer], answer: Mapping[str, Any]) -> AnAnswer:
        return read(kind, answer, self.server)

    def _list(
        self,
        kind: type[AnAnswer],
        path: str,
        field: str,
        query: Query,
        limit: int | None = None,
    ) -> Iterator[AnAnswer]:
        """All pages of a list, as far as somebody reads them."""
        number, token, seen = 0, "", {""}
        while True:
            page = {"page_size": min(PAGE_SIZE, limit or PAGE_SIZE), **query}
            answer = self._transport.get(path, page | ({"page_token": token} if token else {}))
            items = answer.get(field) or []
            if not isinstance(items, Sequence) or isinstance(items, str):
                raise NotKubeflowPipelines(f"{self.server}: {path}: {field} is no list")
            for item in items:
                yield self._read(kind, item)
                number += 1
                if number == limit:
                    return
            token = str(answer.get("next_page_token") or "")
            if token in seen:
                return
            seen.add(token)


def _part(identifier: str) -> str:
    """An identifier as one part of a path."""
    return quote(identifier, safe="")


def _filter(*predicates: Predicate) -> str:
    """A filter, encoded once for the server; the transport encodes it once more for the URL."""
    said = [
        {"key": key, "operation": operation, "string_value": value}
        for key, operation, value in predicates
    ]
    return quote(json.dumps({"predicates": said}), safe="")
