"""docker-compose.yml as the compose binary reads it, beside the manifests and the local stack."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
import yaml

from manifests.compose_env import SECRETS, complete
from manifests.images.catalogue import IMAGES, ROOT, third_party
from spatialreward.stack import mutual_tls
from spatialreward.stack.launch import MLFLOW_HEALTH, S3_HEALTH, TRITON_HEALTH, answers
from spatialreward.stack.mlflow_server import BUCKET
from spatialreward.stack.ports import LOOPBACK, free_ports
from spatialreward.stack.seaweedfs import INNER_PORTS
from spatialreward.stack.triton import restricted_by
from spatialreward.storage import BUCKET as STEPS_BUCKET

COMPOSE = Path(sys.executable).with_name("docker-compose")
BASE = ROOT / "manifests" / "base"
ONCE = {"buckets", "migrate", "object-store-tls", "volumes"}
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
    common = {"volumes", "object-store-tls", "object-store", "buckets", "deployer"}
    common |= {"postgres", "migrate", "mlflow"}
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
    known = {image.tag for image in IMAGES if image.pushed} | set(third_party().values())
    assert {service["image"] for service in services.values()} <= known


def test_a_prefix_reaches_our_images_and_no_others(env_file, tmp_path):
    prefixed = tmp_path / ".env"
    prefixed.write_text(env_file.read_text() + "IMAGE_PREFIX=registry.example/team/\n")
    answer = compose(prefixed, "--profile", "*", "config", "--images")
    images = set(answer.stdout.split())
    assert "registry.example/team/spatialreward/mlflow:0.1.0" in images
    assert third_party()["POSTGRES_IMAGE"] in images


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
    alone = {name for name, one in services.items() if one.get("network_mode") == "none"}
    assert alone == {"volumes", "object-store-tls"}
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
    [script] = services["buckets"]["volumes"]
    assert script["source"] == str(BASE / "buckets" / "buckets.py")
    made = re.search(r"EXPIRY_DAYS = (.*)", Path(script["source"]).read_text())[1]
    assert set(ast.literal_eval(made)) == {STEPS_BUCKET, BUCKET}
    assert f"--artifacts-destination=s3://{BUCKET}" in services["mlflow"]["command"]


def test_what_runs_once_does_here_what_it_does_in_a_cluster(services, documents):
    [job] = documents["Job", "buckets"]["spec"]["template"]["spec"]["containers"]
    assert services["buckets"]["entrypoint"] == job["command"]
    assert services["buckets"]["volumes"][0]["target"] == job["command"][1]
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


def test_triton_asks_for_the_key_that_the_deployer_has(services, env_file):
    values = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    key = values["TRITON_REPOSITORY_KEY"]
    for name in ("judge", "judge-gpu"):
        assert set(restricted_by(key)) <= set(services[name]["command"])
    assert services["deployer"]["environment"]["TRITON_REPOSITORY_KEY"] == key
    knowing = {name for name, service in services.items() if key in json.dumps(service)}
    assert knowing == {"judge", "judge-gpu", "deployer"}


def test_the_manifests_ask_for_the_key_in_the_same_words(documents):
    pod = documents["Rollout", "judge"]["spec"]["template"]["spec"]
    [triton] = [one for one in pod["containers"] if one["name"] == "triton"]
    assert set(restricted_by("$(POD_UID)")) <= set(triton["args"])


def test_the_object_store_is_started_where_its_certificate_is(services):
    [written] = services["object-store-tls"]["command"]
    assert services["object-store-tls"]["entrypoint"][-1] == mutual_tls.__name__
    assert services["object-store"]["working_dir"] == written
    for name, read_only in (("object-store-tls", False), ("object-store", True)):
        mounts = {one["target"]: one for one in services[name]["volumes"]}
        assert mounts[written]["source"] == "object-store-tls"
        assert mounts[written].get("read_only", False) is read_only


def test_a_certificate_that_is_there_stays(tmp_path):
    command = [sys.executable, "-m", mutual_tls.__name__, tmp_path]
    written = []
    for _ in range(2):
        subprocess.run(command, check=True)
        written.append((tmp_path / mutual_tls.KEY).read_bytes())
    assert written[0] == written[1]


def test_no_identity_comes_over_the_object_stores_grpc(services, tmp_path):
    """By that call a stranger on the network would make keys of their own, and be the store's."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "data").mkdir()
    subprocess.run([sys.executable, "-m", mutual_tls.__name__, tmp_path / "tls"], check=True)
    with free_ports() as free, (tmp_path / "log").open("wb") as log:
        ports = {option: next(free) for option in ("s3.port", *INNER_PORTS)}
        # Of an option that is given twice, the last one counts.
        here = {"dir": tmp_path / "data", "s3.ip.bind": LOOPBACK} | ports
        server = subprocess.Popen(
            [
                Path(sys.executable).with_name("weed"),
                *services["object-store"]["command"],
                *(f"-{option}={value}" for option, value in here.items()),
            ],
            cwd=tmp_path / "tls",
            env=os.environ | {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": "to us"},
            stdout=log,
            stderr=log,
        )
        try:
            while not answers(f"http://{LOOPBACK}:{ports['s3.port']}{S3_HEALTH}"):
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
            where = f"{LOOPBACK}:{ports['s3.port.grpc']}"
            pems = [(tmp_path / "tls" / name).read_bytes() for name in ("cert.pem", "key.pem")]
            ours = grpc.ssl_channel_credentials(pems[0], pems[1], pems[0])
            with grpc.insecure_channel(where) as plain, grpc.secure_channel(where, ours) as known:
                put = "/messaging_pb.SeaweedS3IamCache/PutIdentity"
                codes = [_code_of(channel, put) for channel in (plain, known)]
        finally:
            server.terminate()
            server.wait()
            for path in Path("/tmp").glob("seaweedfs-*.sock"):
                if int(re.findall(r"\d+", path.name)[-1]) in ports.values():
                    path.unlink()
    assert codes[0] is grpc.StatusCode.UNAVAILABLE
    assert codes[1] is not grpc.StatusCode.UNAVAILABLE


def _code_of(channel, method):
    try:
        channel.unary_unary(method, lambda data: data, lambda data: data)(b"", timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
