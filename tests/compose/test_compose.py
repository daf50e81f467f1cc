"""docker-compose.yml as the compose binary reads it, beside the manifests and the local stack."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from manifests.compose_env import SECRETS, complete
from manifests.images.catalogue import IMAGES, ROOT, third_party
from spatialreward.stack.launch import MLFLOW_HEALTH, S3_HEALTH, TRITON_HEALTH
from spatialreward.stack.mlflow_server import BUCKET
from spatialreward.storage import BUCKET as STEPS_BUCKET

COMPOSE = Path(sys.executable).with_name("docker-compose")
BASE = ROOT / "manifests" / "base"
ONCE = {"buckets", "migrate", "volumes"}
# Where a service of the compose file has another name in the manifests, or is there twice.
SAME = {"judge-gpu": "judge"}


def compose(env_file, *arguments):
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [COMPOSE, "--file", ROOT / "docker-compose.yml", "--env-file", env_file, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def env_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("compose") / ".env"
    complete(path)
    return path


@pytest.fixture(scope="module")
def services(env_file):
    answer = compose(env_file, "--profile", "*", "config", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["services"]


@pytest.fixture(scope="module")
def documents():
    """Objects of the base manifests, by kind and name."""
    found = {}
    for path in sorted(BASE.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document and "metadata" in document and "name" in document["metadata"]:
                found[document["kind"], document["metadata"]["name"]] = document
    return found


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_profile_is_what_compose_takes(env_file, profile):
    answer = compose(env_file, "--profile", profile, "config", "--quiet")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_each_profile_has_one_judge(env_file):
    listed = {
        profile: set(compose(env_file, "--profile", profile, "config", "--services").stdout.split())
        for profile in ("cpu", "gpu")
    }
    common = {"volumes", "object-store", "buckets", "postgres", "migrate", "mlflow", "deployer"}
    assert listed == {"cpu": common | {"judge"}, "gpu": common | {"judge-gpu"}}


@pytest.mark.parametrize("missing", list(SECRETS))
def test_without_a_password_nothing_starts(env_file, tmp_path, missing):
    lines = env_file.read_text().splitlines()
    left = tmp_path / ".env"
    left.write_text("\n".join(line for line in lines if not line.startswith(f"{missing}=")))
    answer = compose(left, "--profile", "cpu", "config", "--quiet")
    assert answer.returncode != 0
    assert f"required variable {missing} is missing a value: make compose-env" in answer.stderr


def test_passwords_are_made_anew_and_for_their_owner_only(tmp_path):
    for name in ("one", "other"):
        assert complete(tmp_path / name) == list(SECRETS)
    one, other = (
        dict(line.split("=", 1) for line in (tmp_path / name).read_text().splitlines())
        for name in ("one", "other")
    )
    assert {name for name in SECRETS if one[name] == other[name]} == {"POSTGRES_USER"}
    assert len(base64.urlsafe_b64decode(one["ENCRYPTION_KEY"])) == 32
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
    assert all(re.fullmatch(r"[A-Za-z0-9_=-]+", value) for value in one.values())


def test_passwords_that_are_there_stay(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nPOSTGRES_PASSWORD=old\nMLFLOW_PORT=5001")
    added = complete(path)
    assert "POSTGRES_PASSWORD" not in added
    assert path.read_text().startswith("# mine\nPOSTGRES_PASSWORD=old\nMLFLOW_PORT=5001\n")
    assert complete(path) == []


def test_passwords_are_never_committed():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!.env" not in (ROOT / ".dockerignore").read_text().splitlines()


def test_images_are_those_that_are_built_or_pinned(services):
    known = {image.tag() for image in IMAGES if image.pushed} | set(third_party().values())
    assert {service["image"] for service in services.values()} <= known


def test_a_prefix_reaches_our_images_and_no_others(env_file, tmp_path):
    prefixed = tmp_path / ".env"
    prefixed.write_text(env_file.read_text() + "IMAGE_PREFIX=registry.example/team/\n")
    answer = compose(prefixed, "--profile", "*", "config", "--images")
    images = set(answer.stdout.split())
    assert "registry.example/team/spatialreward/mlflow:0.1.0" in images
    assert third_party()["postgres"] in images


def test_ports_are_on_loopback_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_a_port_is_published_once_in_a_profile(services):
    for profile in ("cpu", "gpu"):
        ports = [
            port["published"]
            for service in services.values()
            if profile in service.get("profiles", [profile])
            for port in service.get("ports", [])
        ]
        assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", ["object-store", "mlflow", "judge", "judge-gpu", "deployer"])
def test_ports_are_those_of_the_manifests(services, documents, name):
    service = documents["Service", SAME.get(name, name)]
    there = {port["port"] for port in service["spec"]["ports"]}
    here = {port["target"] for port in services[name]["ports"]}
    # The object store's metrics are for a cluster's Prometheus.
    assert here == there - {9327}


def test_the_database_is_reached_by_mlflow_only(services):
    assert "ports" not in services["postgres"]
    on = {name for name, service in services.items() if "database" in service.get("networks", {})}
    assert on == {"postgres", "migrate", "mlflow"}
    assert set(services["postgres"]["networks"]) == {"database"}


def test_services_are_hardened(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service["pids_limit"] > 0, name
        assert int(service["mem_limit"]) > 0, name


def test_only_what_hands_volumes_over_is_root(services):
    users = {name: service["user"] for name, service in services.items()}
    assert users.pop("volumes") == "0:0"
    assert users.pop("postgres") == "999:999"
    assert set(users.values()) == {"10001:10001"}
    assert services["volumes"]["network_mode"] == "none"
    assert {name for name, one in services.items() if "cap_add" in one} == {"volumes"}


def test_what_stays_up_is_asked_how_it_is(services):
    checked = {name for name, service in services.items() if "healthcheck" in service}
    assert checked == set(services) - ONCE
    asked = {name: " ".join(services[name]["healthcheck"]["test"]) for name in checked}
    assert f":8333{S3_HEALTH}" in asked["object-store"]
    assert f":5000{MLFLOW_HEALTH}" in asked["mlflow"]
    assert f":8000{TRITON_HEALTH}" in asked["judge"]


def test_services_wait_for_what_they_need(services):
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how["condition"] == expected, (name, needed)
    assert set(services["mlflow"]["depends_on"]) == {"postgres", "migrate", "buckets"}
    assert set(services["buckets"]["depends_on"]) == {"object-store"}
    assert "mlflow" in services["deployer"]["depends_on"]


def test_buckets_are_those_that_steps_and_mlflow_use(services):
    options = services["buckets"]["command"]
    made = {one.removeprefix("--bucket=") for one in options if one.startswith("--bucket=")}
    assert made == {STEPS_BUCKET, BUCKET}
    assert f"--artifacts-destination=s3://{BUCKET}" in services["mlflow"]["command"]


def test_what_runs_once_does_here_what_it_does_in_a_cluster(services, documents):
    [job] = documents["Job", "buckets"]["spec"]["template"]["spec"]["containers"]
    assert services["buckets"]["command"] == job["args"]
    [migrate] = documents["Deployment", "mlflow"]["spec"]["template"]["spec"]["initContainers"]
    assert services["migrate"]["entrypoint"] == migrate["command"]
    assert services["migrate"]["command"] == migrate["args"]
    given = services["migrate"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert given == services["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]


def test_addresses_name_services_and_their_ports(services):
    names = {SAME.get(name, name) for name in services}
    for service in services.values():
        for value in (service.get("environment") or {}).values():
            for host, port in re.findall(r"(?:^|//|@)([a-z-]+):(\d{4})\b", value or ""):
                assert host in names
                targets = {one["target"] for one in services[host].get("ports", [])} | {5432}
                assert int(port) in targets


def test_both_judges_answer_to_the_same_name(services):
    assert "judge" in services["judge-gpu"]["networks"]["default"]["aliases"]
    assert services["judge"]["command"] == services["judge-gpu"]["command"]
    devices = services["judge-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_variables_are_those_of_the_cluster(services, documents):
    """A service has here what it has there, but for where things are."""
    endpoints = dict(
        line.split("=", 1)
        for line in (BASE / "mlflow" / "endpoints.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    here = services["buckets"]["environment"]
    short = {name: value.replace(".spatialreward.svc", "") for name, value in endpoints.items()}
    assert {name: here.get(name) for name in short} == short
    container = documents["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"][0]
    there = {variable["name"] for variable in container["env"]}
    own = {"HOME", "PYTHONUNBUFFERED", "POSTGRES_USER", "POSTGRES_PASSWORD"}
    assert there - own <= set(services["mlflow"]["environment"])
    [container] = documents["StatefulSet", "postgres"]["spec"]["template"]["spec"]["containers"]
    said = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    assert said.items() <= services["postgres"]["environment"].items()


def test_triton_is_started_as_the_local_stack_starts_it(services):
    command = services["judge"]["command"]
    assert "--model-control-mode=explicit" in command
    assert "--backend-config=python,stub-timeout-seconds=300" in command
    [models] = [one for one in services["judge"]["volumes"] if one["target"] == "/models"]
    assert models["read_only"] is True
    assert services["deployer"]["environment"]["TRITON_MODEL_REPOSITORY"] == "/models"
