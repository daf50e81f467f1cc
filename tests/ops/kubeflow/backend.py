"""What the API server of Kubeflow Pipelines 2.17 does, in memory, as its source has it."""

import datetime
import json
import uuid

import yaml

from tests.ops.kubeflow.listing import Invalid, page_of
from tests.ops.kubeflow.workflow import OVER, Moment, stamp, task_details

NOON = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
NEVER = "1970-01-01T00:00:00Z"
INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION, ABORTED, INTERNAL = 3, 5, 6, 7, 10, 13


class Refusal(Exception):
    """An error as gRPC has it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Backend:
    """Pipelines, experiments, runs and schedules."""

    def __init__(self):
        self.multi_user = False
        self.pipelines = {}
        self.versions = {}
        self.experiments = {}
        self.runs = {}
        self.schedules = {}
        self.moments = [Moment("PENDING"), Moment("RUNNING"), Moment("SUCCEEDED")]
        """What new runs go through, one at each time that they are asked for."""
        self.plugins_output = {}
        """Of new runs."""
        self.to_come = {}
        self._made = 0

    def healthz(self, **_):
        return {"multi_user": True} if self.multi_user else {"pipeline_store": "database"}

    def create_pipeline(self, body, **_):
        name = body.get("name") or body["display_name"]
        if any(one["name"] == name for one in self.pipelines.values()):
            raise Refusal(ALREADY_EXISTS, f"The name {name} already exist")
        made = self._new("pipeline_id", {"display_name": name, **body, "name": name})
        self.pipelines[made["pipeline_id"]] = made
        return made

    def upload_pipeline(self, query, content, filename, **_):
        names = {"name": query.get("name") or query.get("display_name") or filename}
        try:
            made = self.create_pipeline({**names, "description": query.get("description", "")})
        except Refusal as error:
            raise UploadRefusal(409, "Failed to create a pipeline and a version") from error
        self._add_version(made["pipeline_id"], made["name"], query, content)
        return made

    def upload_version(self, query, content, filename, **_):
        pipeline = query.get("pipelineid", "")
        if pipeline not in self.pipelines or not filename.endswith((".yaml", ".yml", ".json")):
            raise UploadRefusal(400, "Failed to create a pipeline version")
        return self._add_version(pipeline, query.get("name") or filename, query, content)

    def _add_version(self, pipeline, name, query, content):
        mine = [one for one in self.versions.values() if one["pipeline_id"] == pipeline]
        if any(one["name"] == name for one in mine):
            raise UploadRefusal(409, "Failed to create a pipeline version")
        documents = list(yaml.safe_load_all(content))
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": spec, "platform_spec": documents[1]}
        told = {"pipeline_id": pipeline, "name": name, "display_name": name, "pipeline_spec": spec}
        if query.get("description"):
            told["description"] = query["description"]
        made = self._new("pipeline_version_id", told)
        self.versions[made["pipeline_version_id"]] = made
        return made

    def pipeline_by_name(self, name, **_):
        found = [one for one in self.pipelines.values() if one["name"] == name]
        return found[0] if found else self._no("pipeline", name)

    def list_pipelines(self, query, **_):
        return page_of("pipelines", list(self.pipelines.values()), query)

    def list_versions(self, pipeline_id, query, **_):
        mine = [one for one in self.versions.values() if one["pipeline_id"] == pipeline_id]
        return page_of("pipeline_versions", mine, query)

    def get_version(self, pipeline_version_id, **_):
        return self._get(self.versions, "pipeline version", pipeline_version_id)

    def create_experiment(self, body, **_):
        if any(one["display_name"] == body["display_name"] for one in self.experiments.values()):
            raise Refusal(ALREADY_EXISTS, f"The name {body['display_name']} already exists")
        made = self._new("experiment_id", {"storage_state": "AVAILABLE", **body})
        made["last_run_created_at"] = NEVER
        self.experiments[made["experiment_id"]] = made
        return made

    def list_experiments(self, query, **_):
        return page_of("experiments", list(self.experiments.values()), query)

    def create_run(self, body, **_):
        self._check_source(body)
        made = self._new("run_id", {**body, "storage_state": "AVAILABLE", "state": "PENDING"})
        made |= {"scheduled_at": made["created_at"], "finished_at": NEVER}
        if self.plugins_output:
            made["plugins_output"] = self.plugins_output
        self.runs[made["run_id"]] = made
        self.to_come[made["run_id"]] = list(self.moments)
        return made

    def get_run(self, run_id, **_):
        run = self._get(self.runs, "run", run_id)
        if self.to_come[run_id]:
            self.come_to(run_id, self.to_come[run_id].pop(0))
        return run

    def come_to(self, run_id, moment):
        """Let a run be as it is at a moment."""
        run = self.runs[run_id]
        began = datetime.datetime.fromisoformat(run["created_at"])
        told = {"update_time": stamp(began), "state": moment.state}
        if moment.error:
            run["error"] = {"code": INTERNAL, "message": moment.error}
        run["state"] = moment.state
        run["state_history"] = [*run.get("state_history", []), told]
        run["finished_at"] = NEVER
        if moment.state in OVER:
            run["finished_at"] = stamp(began + datetime.timedelta(seconds=754))
        run["run_details"] = {"task_details": task_details(run_id, moment, began)}

    def list_runs(self, query, **_):
        wanted = query.get("experiment_id")
        runs = [one for one in self.runs.values() if wanted in (None, "", one["experiment_id"])]
        return page_of("runs", runs, query)

    def retry_run(self, run_id, **_):
        run = self._get(self.runs, "run", run_id)
        if run["state"] != "FAILED":
            raise Refusal(ABORTED, "Workflow must be Failed/Error to retry")
        self.to_come[run_id] = list(self.moments)
        run["state"] = "PENDING"
        return {}

    def terminate_run(self, run_id, **_):
        run = self._get(self.runs, "run", run_id)
        if run["state"] in (*OVER, "CANCELING"):
            raise Refusal(INVALID_ARGUMENT, f"Failed to terminate a run {run_id}. Row not found")
        # As the source has it: that it is canceled gets into its history only when its workflow is
        # reported while it ends, and canceled runs end as failed ones.
        run["state"] = "CANCELING"
        self.to_come[run_id] = [Moment("CANCELING"), Moment("FAILED")]
        return {}

    def archive_run(self, run_id, **_):
        self._get(self.runs, "run", run_id)["storage_state"] = "ARCHIVED"
        return {}

    def create_schedule(self, body, **_):
        self._check_source(body)
        if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
            raise Refusal(INVALID_ARGUMENT, "Max concurrency must be at least 1 and at most 10")
        cron = body["trigger"].get("cron_schedule", {}).get("cron", "@")
        if not cron.startswith("@") and len(cron.split()) not in (5, 6):
            raise Refusal(INVALID_ARGUMENT, "Schedule cron is not a supported format")
        status = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        made = self._new("recurring_run_id", {**body, "status": status})
        made["updated_at"] = made["created_at"]
        self.schedules[made["recurring_run_id"]] = made
        return made

    def list_schedules(self, query, **_):
        return page_of("recurringRuns", list(self.schedules.values()), query)

    def enable_schedule(self, recurring_run_id, **_):
        schedule = self._get(self.schedules, "recurring run", recurring_run_id)
        schedule |= {"status": "ENABLED", "mode": "ENABLE"}
        return {}

    def disable_schedule(self, recurring_run_id, **_):
        schedule = self._get(self.schedules, "recurring run", recurring_run_id)
        schedule |= {"status": "DISABLED", "mode": "DISABLE"}
        return {}

    def delete_schedule(self, recurring_run_id, **_):
        self._get(self.schedules, "recurring run", recurring_run_id)
        del self.schedules[recurring_run_id]
        return {}

    def _check_source(self, body):
        if not body.get("display_name"):
            raise Refusal(INTERNAL, "Run name cannot be empty")
        if body.get("experiment_id") not in self.experiments:
            self._no("experiment", body.get("experiment_id"))
        source = body.get("pipeline_version_reference", {})
        version = self.versions.get(source.get("pipeline_version_id"))
        if version is None or version["pipeline_id"] != source.get("pipeline_id"):
            self._no("pipeline version", json.dumps(source))

    def _new(self, key, told):
        self._made += 1
        created = NOON + datetime.timedelta(seconds=self._made)
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key} {self._made}"))
        return {**told, key: identifier, "created_at": stamp(created)}

    def _get(self, things, what, key):
        return things[key] if key in things else self._no(what, key)

    def _no(self, what, key):
        raise Refusal(NOT_FOUND, f"{what} {key} not found")


class UploadRefusal(Exception):
    """An error as the upload endpoints have it, which gRPC does not serve."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


__all__ = ["Backend", "Invalid", "Refusal", "UploadRefusal"]
