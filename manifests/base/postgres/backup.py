"""Backups of MLflow's database in the object store: lists, stores or fetches them.

    backup.py list
    backup.py put FOLDER             # with the dump
    backup.py fetch FOLDER [NAME]    # a new folder; by default, the newest

A backup is an artifact: its manifest, stored last, has the SHA-256 of the dump, so a listed backup
is complete, and a fetched dump is the stored one. The bucket removes old ones by its own rule.

CloudNativePG does not replace these scripts: its native backups to an object store are deprecated,
and their successor needs cert-manager and a plugin with a controller of its own for one database.
"""

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from spatialreward.artifacts import MANIFEST_NAME, ArtifactRef
from spatialreward.storage import ObjectStore

BUCKET, PREFIX = "spatialreward", "backups/postgres"


def names(store: ObjectStore) -> list[str]:
    """When each backup was made, ``20261125T021700Z``, the newest last."""
    objects = store.client.list_objects(BUCKET, f"{PREFIX}/", recursive=True)
    keys = [Path(str(one.object_name)) for one in objects]
    return sorted(key.parent.name for key in keys if key.name == MANIFEST_NAME)


def put(store: ObjectStore, folder: Path) -> None:
    """Store a folder as the newest backup, and check that the store has it."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    store.check_folder(store.put_folder_at(folder, f"s3://{BUCKET}/{PREFIX}/{name}"))
    sys.stdout.write(f"stored {name}\n")


def fetch(store: ObjectStore, folder: Path, name: str = "") -> None:
    """Bring a backup here, if it is still the one that was stored."""
    known = names(store)
    if (name and name not in known) or not known:
        sys.exit(f"error: no backup {name}; there are {', '.join(known) or 'none'}")
    uri = f"s3://{BUCKET}/{PREFIX}/{name or known[-1]}"
    manifest = store.get_content(f"{uri}/{MANIFEST_NAME}") or b""
    ref = ArtifactRef(uri=uri, sha256=hashlib.sha256(manifest).hexdigest())
    store.fetch_folder(ref, folder)
    sys.stdout.write(f"fetched {name or known[-1]}\n")


match sys.argv[1:]:
    case ["list"]:
        sys.stdout.writelines(f"{name}\n" for name in names(ObjectStore.from_environment()))
    case ["put", folder]:
        put(ObjectStore.from_environment(), Path(folder))
    case ["fetch", folder, *chosen]:
        fetch(ObjectStore.from_environment(), Path(folder), *chosen)
    case _:
        sys.exit(__doc__)
