"""Kubeflow Pipelines through ``kfp_server_api``, the client generated from its specification.

Not ``kfp.Client``, a layer on the same package: it gives a run no description, where the mark of a
submission goes, waits without a limit, and takes six times as long to import, with all of kfp.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from kfp_server_api import (
    ApiClient,
    ApiException,
    Configuration,
    ExperimentServiceApi,
    HealthzServiceApi,
    PipelineServiceApi,
    PipelineUploadServiceApi,
    RecurringRunServiceApi,
    RunServiceApi,
)
from kfp_server_api import V2beta1Experiment as Experiment
from kfp_server_api import V2beta1Pipeline as Pipeline
from kfp_server_api import V2beta1PipelineVersion as PipelineVersion
from kfp_server_api import V2beta1RecurringRun as RecurringRun
from kfp_server_api import V2beta1Run as Run
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from spatialreward.ops.kubeflow.config import ServerConfig
from spatialreward.ops.kubeflow.errors import KubeflowError, NotFound
from spatialreward.ops.kubeflow.reasons import Asked, as_object, no_answer, no_api, refusal

_PAGE_SIZE = 100
_FIRST_WAIT_S, _MAX_WAIT_S = 0.5, 8.0


class KubeflowPipelines:
    """One API server by its groups of operations, and the namespace to work in.

    Each operation raises ``KubeflowError`` where the server does not do what was asked.
    """

    def __init__(
        self,
        config: ServerConfig,
        namespace: str = "",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Send nothing yet; ``sleep`` waits so many seconds between two looks."""
        api = _Api(config)
        self.server = config.server
        self.within = {"namespace": namespace} if namespace else {}
        self.sleep = sleep
        self.pipelines = PipelineServiceApi(api)
        self.uploads = PipelineUploadServiceApi(api)
        self.experiments = ExperimentServiceApi(api)
        self.runs = RunServiceApi(api)
        self.schedules = RecurringRunServiceApi(api)
        self._health = HealthzServiceApi(api)

    def check(self) -> None:
        """Find out whether the API is there and usable before anything is done.

        Raises:
            KubeflowError: it is not, or several teams share it and no namespace is given.
        """
        if self._health.healthz_service_get_healthz().multi_user and not self.within:
            raise KubeflowError(f"{self.server} is shared by several namespaces: pass --namespace")

    def run(self, run_id: str) -> Run:
        """A run with its tasks."""
        return self.runs.run_service_get_run(run_id)

    def list_runs(
        self, operation: str = "EQUALS", *, experiment_id: str | None = None, **wanted: str
    ) -> Iterator[Run]:
        """Runs whose fields match the wanted text, the newest first."""
        ask, more = self.runs.run_service_list_runs, {"experiment_id": experiment_id}
        return _listed(ask, "runs", filter=_filter(wanted, operation), **more, **self.within)

    def list_schedules(self, **wanted: str) -> Iterator[RecurringRun]:
        """Schedules whose fields equal the wanted text, the newest first."""
        ask = self.schedules.recurring_run_service_list_recurring_runs
        return _listed(ask, "recurring_runs", filter=_filter(wanted), **self.within)

    def find_pipeline(self, name: str) -> Pipeline | None:
        """The pipeline of that name."""
        ask = self.pipelines.pipeline_service_get_pipeline_by_name
        try:
            return ask(name, **self.within)
        except NotFound:
            return None

    def find_version(self, pipeline_id: str, name: str) -> PipelineVersion | None:
        """The version of that name."""
        ask = self.pipelines.pipeline_service_list_pipeline_versions
        found = _listed(ask, "pipeline_versions", pipeline_id, filter=_filter({"name": name}))
        return next((one for one in found if name in (one.name, one.display_name)), None)

    def find_experiment(self, name: str) -> Experiment | None:
        """The experiment of that name."""
        ask = self.experiments.experiment_service_list_experiments
        wanted = _filter({"display_name": name})
        found = _listed(ask, "experiments", filter=wanted, **self.within)
        return next((one for one in found if one.display_name == name), None)


class _Api(ApiClient):
    """Adds to the generated client: a timeout, fresh credentials, and errors in words."""

    def __init__(self, config: ServerConfig) -> None:
        settings = Configuration(config.url)
        settings.ssl_ca_cert = str(config.ca_file) if config.ca_file else None
        host = urlsplit(config.url)
        if not proxy_bypass(host.netloc):
            settings.proxy = getproxies().get(host.scheme)
        # A connection is retried for every request, an answer only for those that change nothing.
        again = config.attempts - 1
        settings.retries = Retry(
            total=None,
            connect=again,
            read=again,
            status=again,
            other=0,
            redirect=False,
            allowed_methods=["GET"],
            status_forcelist=[408, 429, 500, 502, 503, 504],
            backoff_factor=_FIRST_WAIT_S,
            backoff_max=_MAX_WAIT_S,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        super().__init__(settings)
        # Its warning of each retry would repeat the reason that the last error has.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        # On a kept connection that the server closes, the fate of a request would be unknown.
        self.set_default_header("Connection", "close")
        self._config = config

    def request(self, method: str, url: str, **what: Any) -> Any:
        secrets, timeout_s = self._config.credentials.to_headers(), self._config.timeout_s
        what["headers"] = {**what["headers"], **secrets}
        # The client reads a pair alone; it would pass over a float.
        what["_request_timeout"] = (timeout_s, timeout_s)
        said = f"{method} {urlsplit(url).path}"
        asked = Asked(self._config.server, said, secrets.values())
        try:
            answer = super().request(method, url, **what)
        except ApiException as error:
            raise refusal(error, asked) from error
        except HTTPError as error:
            raise no_answer(error, asked, timeout_s) from error
        # The client would make an empty object of a web page.
        if as_object(answer.data) is None:
            raise no_api(asked, f"HTTP {answer.status}, no JSON")
        return answer


def _listed(ask: Callable[..., Any], field: str, *path: str, **query: Any) -> Iterator[Any]:
    """The items of a list, the newest first; asks for a page when it is read."""
    token = None
    while True:
        page = ask(
            *path, page_size=_PAGE_SIZE, page_token=token, sort_by="created_at desc", **query
        )
        yield from getattr(page, field) or ()
        token = page.next_page_token
        if not token:
            return


def _filter(wanted: Mapping[str, str], operation: str = "EQUALS") -> str | None:
    """A filter; encoded here, since the server decodes it once more than its URL."""
    predicates = [
        {"key": key, "operation": operation, "string_value": value} for key, value in wanted.items()
    ]
    return quote(json.dumps({"predicates": predicates}), safe="") if predicates else None
