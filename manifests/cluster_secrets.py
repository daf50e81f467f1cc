"""``python -m manifests.cluster_secrets``: a cluster's secrets, made at random.

They are written to standard output, for ``kubectl create -f -``, and kept nowhere. Made again they
would be others than the volumes were made with: hence ``create``, which refuses what is there.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from manifests.compose_env import SECRETS

_STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "spatialreward": {
        "object-store-credentials": _STORE_KEYS,
        "postgres-credentials": ("POSTGRES_USER", "POSTGRES_PASSWORD"),
    },
    "kubeflow": {"object-store-credentials": _STORE_KEYS, "teacher-key": ("TEACHER_KEY",)},
}
"""Which keys a secret has, by namespace and name."""
OPTIONAL = "teacher-key"


def secret_objects(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Make the objects.

    Args:
        given: values that are given, such as the keys of a store that is there.
            ``TEACHER_KEY`` cannot be made: without it there is no such secret.
    """
    values = {name: given.get(name) or make() for name, make in SECRETS.items()}
    if teacher := given.get("TEACHER_KEY"):
        values["TEACHER_KEY"] = teacher
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "spatialreward"},
            },
            "type": "Opaque",
            "stringData": {key: values[key] for key in keys},
        }
        for namespace, secrets in PLACES.items()
        for name, keys in secrets.items()
        if name != OPTIONAL or "TEACHER_KEY" in values
    ]


def main() -> None:
    """Write the objects, with what the environment gives in the place of what would be made."""
    argparse.ArgumentParser(
        prog="python -m manifests.cluster_secrets",
        description="Write a cluster's Secrets to standard output, for `kubectl create -f -`. "
        f"Values of {', '.join(SECRETS)} and TEACHER_KEY are taken from the environment; "
        "those that are missing are made, but for TEACHER_KEY.",
    ).parse_args()
    if sys.stdout.isatty():
        sys.exit("error: these are passwords: pipe them into `kubectl create -f -`")
    wanted = {*SECRETS, "TEACHER_KEY"}
    given = {name: value for name, value in os.environ.items() if name in wanted}
    objects = {"apiVersion": "v1", "kind": "List", "items": secret_objects(given)}
    sys.stdout.write(json.dumps(objects, indent=2) + "\n")


if __name__ == "__main__":
    main()
